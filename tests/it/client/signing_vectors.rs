//! Vectors made with the official Python SDK's signing code and confirmed with the JavaScript
//! SDK's.

use std::time::{Duration, UNIX_EPOCH};

use acs_identity::{AccessKey, RequestToSign};
use serde_json::Value;

#[test]
fn signature_matches_the_vectors_of_the_official_clients() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../data/hmac.json")).expect("the file is JSON");
    assert_eq!(vectors.len(), 24);

    for vector in &vectors {
        let text = |field: &str| vector[field].as_str().unwrap();
        let key: AccessKey = text("access_key").parse().unwrap();
        let request = RequestToSign {
            method: text("method"),
            host: text("host"),
            path_and_query: text("path_and_query"),
            body: text("body").as_bytes(),
        };
        let at = UNIX_EPOCH + Duration::from_secs(vector["unix_seconds"].as_u64().unwrap());
        let signed = key.sign(&request, at).unwrap();

        let name = text("name");
        assert_eq!(signed.date(), text("date"), "{name}");
        assert_eq!(signed.content_hash(), text("x_ms_content_sha256"), "{name}");
        assert_eq!(signed.authorization(), text("authorization"), "{name}");
        assert_eq!(
            signed.headers(),
            [
                ("x-ms-date", text("date")),
                ("x-ms-content-sha256", text("x_ms_content_sha256")),
                ("authorization", text("authorization")),
            ],
            "{name}"
        );
    }
}
