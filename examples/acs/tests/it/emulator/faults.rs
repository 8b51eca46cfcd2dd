//! `--fault`.

use std::time::Instant;

use acs_identity::{Error, ErrorKind};

use super::*;

#[test]
fn faults_strike_as_they_are_written() {
    let faults = "create:429=7s*2 create:503=250ms issue:truncate issue:stall*1 \
                  revoke:500%2*2 revoke:delay=300ms exchange:404 delete:drop delete:drop-after delete:stall-body *:delay=100ms exchange:drip=300ms";
    let mut arguments = vec!["--throttling"];
    faults.split_whitespace().for_each(|spec| arguments.extend(["--fault", spec]));
    let program = Program::start(&arguments);
    let (client, impatient) = (program.client(PATIENCE), program.client(Duration::from_secs(1)));
    let create = |error: Error| (error.status(), error.retry_after());
    for wait in [7_000, 7_000, 250] {
        let status = if wait == 250 { 503 } else { 429 };
        let expected = (Some(status), Some(Duration::from_millis(wait)));
        assert_eq!(create(client.create_user().unwrap_err()), expected);
        let line = format!("POST /identities?api-version=2023-10-01 -> {status} (fault)");
        assert_eq!(program.line(), line);
    }
    let started = Instant::now();
    let user = client.create_user().unwrap();
    assert!(started.elapsed() >= Duration::from_millis(100), "delayed");
    assert_eq!(client.issue_token(&user, ["chat"]).unwrap_err().kind(), ErrorKind::Response);
    assert_eq!(impatient.issue_token(&user, ["chat"]).unwrap_err().kind(), ErrorKind::Timeout);
    let seen: Vec<String> = (0..3).map(|_| program.line()).collect();
    let endings = seen.iter().map(|line| line.split_once(" -> ").unwrap().1);
    assert!(endings.eq(["201 (fault)", "200 (fault)", "no response (fault)"]), "{seen:?}");

    // Both faults apply to the first: the one that was given first counts it only.
    let started = Instant::now();
    client.revoke_tokens(&user).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
    let statuses: Vec<_> = (0..5)
        .map(|_| client.revoke_tokens(&user).err().and_then(|error| error.status()))
        .collect();
    assert_eq!(statuses, [Some(500), None, Some(500), None, None]);

    let teams = client.exchange_teams_user_token("t", APP, USER).unwrap_err();
    assert_eq!(teams.status(), Some(404));
    // Held back as a whole for this time, the answer would be in time.
    let teams = impatient.exchange_teams_user_token("t", APP, USER).unwrap_err();
    assert_eq!(teams.kind(), ErrorKind::Timeout);

    // Nothing is done before one fault, all is done before the others.
    assert_eq!(client.delete_user(&user).unwrap_err().kind(), ErrorKind::Transport);
    client.revoke_tokens(&user).unwrap();
    assert_eq!(client.delete_user(&user).unwrap_err().kind(), ErrorKind::Transport);
    assert_eq!(client.revoke_tokens(&user).unwrap_err().code(), Some("IdentityNotOwned"));
    let user = client.create_user().unwrap();
    assert_eq!(impatient.delete_user(&user).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(client.delete_user(&user).unwrap_err().code(), Some("IdentityNotOwned"));
}

/// The state of the start includes its faults.
#[test]
fn faults_strike_again_after_a_reset() {
    let program = Program::start(&["--fault", "create:503"]);
    let client = program.client(PATIENCE);
    for _ in 0..2 {
        assert_eq!(client.create_user().unwrap_err().status(), Some(503));
        client.create_user().unwrap();
        let url = format!("{}/emulator/reset", program.endpoint());
        ureq::post(url).send_empty().unwrap();
    }
}
