use super::*;

const START: [u8; 80] = [0; 80];

fn header(n: u8) -> [u8; 80] {
    [n; 80]
}

/// What a file holds above its start, all of it taken.
fn content(file: &mut HeaderFile) -> Vec<u8> {
    let mut seen = Vec::new();
    file.replay(2, |headers| {
        seen.extend(headers.iter().map(|header| header[0]));
        headers.len()
    })
    .unwrap();
    seen
}

#[test]
fn headers_come_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    let mut file = HeaderFile::open(&path, &START).unwrap();
    assert!(content(&mut file).is_empty());
    file.splice(1, &[header(1), header(2), header(3)]).unwrap();
    file.splice(3, &[header(4), header(5)]).unwrap();
    drop(file);
    assert_eq!(content(&mut HeaderFile::open(&path, &START).unwrap()), [1, 2, 4, 5]);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 5 * 80);
}

#[test]
fn a_partial_header_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    for (length, expected) in
        [(0, &[][..]), (79, &[]), (80, &[]), (200, &[1]), (239, &[1]), (240, &[1, 2])]
    {
        let whole = [START, header(1), header(2)].concat();
        std::fs::write(&path, &whole[..length]).unwrap();
        let mut file = HeaderFile::open(&path, &START).unwrap();
        assert_eq!(content(&mut file), expected, "{length}");
        assert!(std::fs::metadata(&path).unwrap().len().is_multiple_of(80), "{length}");
    }
}

#[test]
fn what_does_not_hold_is_cut_and_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    let mut file = HeaderFile::open(&path, &START).unwrap();
    file.splice(1, &[1, 2, 3, 4, 5].map(header)).unwrap();
    // The fourth is bad: the third chunk is not looked at any more.
    let mut calls = 0;
    file.replay(2, |headers| {
        calls += 1;
        headers.iter().position(|header| header[0] == 4).unwrap_or(headers.len())
    })
    .unwrap();
    assert_eq!(calls, 2);
    assert_eq!(content(&mut file), [1, 2, 3]);
    file.splice(4, &[header(6)]).unwrap();
    drop(file);
    assert_eq!(content(&mut HeaderFile::open(&path, &START).unwrap()), [1, 2, 3, 6]);
}

#[test]
fn another_start_and_a_second_user_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    let first = HeaderFile::open(&path, &START).unwrap();
    let second = HeaderFile::open(&path, &START).unwrap_err();
    assert!(second.to_string().contains("another process uses it"), "{second}");
    drop(first);
    let other = HeaderFile::open(&path, &header(9)).unwrap_err();
    assert!(other.to_string().contains("another header than the configured start"), "{other}");
    assert!(HeaderFile::open(&folder.path().join("no/such"), &START).is_err());
}
