use super::*;

#[test]
fn ids_differ_by_owner_and_number() {
    let [one, two] = [1, 2].map(alloy_primitives::Address::repeat_byte);
    let ids = [escrow_id(&one, 0), escrow_id(&one, 1), escrow_id(&two, 0)];
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
}
