#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grid_tests::fuzz::grid_transaction(data));
