//! The verifier of header files, against the light client that Bitcoin Core agrees with.

use grid_core::bitcoin::{
    BitcoinClient, Header, HeaderError, NetworkParams, verify::HeaderVerifier,
};
use grid_tests::differential::{Submission, generate};

/// Cases of a run: some seconds.
const CASES: u64 = 200;

/// What the verifier says of a branch with one more header at its end, all from genesis on.
fn verify(
    params: &NetworkParams,
    branch: &[[u8; 80]],
    header: &[u8; 80],
) -> Result<(), HeaderError> {
    // Every header of the branch was taken, at one clock or another.
    let mut verifier = HeaderVerifier::new(params.clone(), 0, u64::from(u32::MAX) * 1000);
    verifier.verify(branch).expect("the light client took the branch");
    verifier.verify(&[*header]).map_err(|bad| bad.error)
}

#[test]
fn the_verifier_of_files_judges_each_header_as_the_light_client_does() {
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..CASES {
        let case = generate(seed);
        let client = BitcoinClient::from_genesis(case.params.clone()).expect("usable parameters");
        let mut client = client.with_max_behind(u64::MAX);
        for Submission { clock, headers } in &case.submissions {
            for raw in headers {
                let verdict = client.accept(raw, u64::from(*clock) * 1000).map(drop);
                let parent = client.tree().get(&Header::parse(raw).prev);
                // Without a parent there is no branch, and genesis is not verified as a child.
                let (Some(parent), false) =
                    (parent, matches!(verdict, Err(HeaderError::TimeTooNew { .. })))
                else {
                    continue;
                };
                let down = std::iter::successors(Some(parent), |header| header.parent());
                let mut branch: Vec<[u8; 80]> = down.filter_map(|header| header.bytes()).collect();
                branch.reverse();
                assert_eq!(verify(&case.params, &branch, raw), verdict, "seed {seed}");
                *if verdict.is_ok() { &mut taken } else { &mut refused } += 1;
            }
        }
    }
    println!("verifier of files: {taken} headers taken, {refused} refused, as by the light client");
    assert!(taken > 0 && refused > 0);
}
