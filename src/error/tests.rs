use super::*;

#[test]
fn the_time_of_several_attempts_is_told_in_tenths_of_seconds() {
    for (millis, told) in [(12_349, "12.3"), (12_350, "12.4"), (59_999, "60.0"), (49, "0.0")] {
        let error = Error::new(ErrorKind::Timeout, "no response").with_call(CallRecord {
            operation: "create_user",
            host: "h".to_owned(),
            api_version: "v".to_owned(),
            client_request_id: "id".to_owned(),
            attempts: 2,
            elapsed: Duration::from_millis(millis),
            status: None,
            ms_cv: None,
            azure_ref: None,
        });
        assert!(error.to_string().contains(&format!(" (2 attempts in {told} s) ")), "{error}");
    }
}
