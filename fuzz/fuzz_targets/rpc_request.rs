#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grid_tests::fuzz::rpc_request(data));
