//! The id of a created user is kept, whatever else is wrong with the response that holds it.
#![no_main]

use acs_identity::RetryPolicy;
use acs_identity_fuzz::{Memory, Operation};
use libfuzzer_sys::fuzz_target;

const CREATES: [Operation; 2] = [Operation::Create, Operation::CreateWithToken];

fuzz_target!(|input: (u8, u8, u16, &[u8])| {
    let (status, how, cut, rest) = input;
    // Another id, in whatever spelling, takes its place or spoils it.
    if rest.windows(2).any(|pair| pair == b"id" || pair == b"\\u") {
        return;
    }
    let operation = CREATES[usize::from(how & 1)];
    let status = if how & 4 != 0 { 201 } else { 200 + u16::from(status % 100) };
    let (mark, start) = (
        ["", "\u{feff}"][usize::from(how >> 3 & 1)],
        ["{\"identity\":{", "{"][usize::from(how >> 4 & 1)],
    );
    let mut body = format!("{mark}{start}\"id\":\"8:acs:a_b\"").into_bytes();
    let certain = body.len();
    body.extend(rest);
    // A status without a body has none, whatever follows.
    if matches!(status, 204 | 205) {
        return;
    }
    let (framing, length) = match how >> 5 {
        0 => (String::new(), body.len()),
        1 => (format!("Content-Length: {}\r\n", body.len() + usize::from(cut)), body.len()),
        2 => ("Content-Length: 1000000000000\r\n".to_owned(), body.len()),
        3 => (format!("Content-Length: {certain}\r\n"), body.len()),
        4 => {
            let size = body.len() + usize::from(cut);
            body.splice(0..0, format!("{size:x}\r\n").into_bytes());
            ("Transfer-Encoding: chunked\r\n".to_owned(), body.len())
        }
        _ => (
            format!("Content-Length: {}\r\n", body.len()),
            (certain + usize::from(cut)).min(body.len()),
        ),
    };
    let mut response = format!("HTTP/1.1 {status} Fine\r\n{framing}\r\n").into_bytes();
    response.extend(&body[..length]);
    let server = Memory::new(vec![response], [usize::MAX, 1][usize::from(cut & 1)], cut & 2 != 0);
    let result = operation.run(&server.client(RetryPolicy::default()));
    match result {
        Ok(user) => assert_eq!(user.unwrap().identifier(), "8:acs:a_b"),
        Err(error) => {
            assert_eq!(error.created_user_id(), Some("8:acs:a_b"), "{error:?}");
            assert!(!error.is_in_doubt(), "{error}");
        }
    }
    assert_eq!(server.requests().len(), 1);
});
