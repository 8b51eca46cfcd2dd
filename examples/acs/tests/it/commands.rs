//! What each command does when all is well.

use std::time::Instant;

use acs_identity::emulator::{Emulator, Fault, Operation};
use serde_json::{Value, json};

use super::*;

#[test]
fn user_create() {
    let emulator = Emulator::start().unwrap();
    let created = acs(&emulator, &["user", "create"]);
    created.assert_printed(&printed_as_az_does(&emulator.users()[0]));
    acs(&emulator, &["user", "create", "--output", "tsv"])
        .assert_printed(&format!("{}\n", emulator.users()[1]));
    for member in ["rawId", "properties.id"] {
        let created = acs(&emulator, &["user", "create", "--query", member]);
        created.assert_printed(&format!("{}\n", emulator.users().pop().unwrap()));
    }
    let created = acs(&emulator, &["user", "create", "--query", "properties"]);
    let user = emulator.users().pop().unwrap();
    created.assert_printed(&format!("{{\n  \"id\": \"{user}\"\n}}\n"));
}

#[test]
fn output_none_prints_nothing_and_saves_the_id_of_a_new_user() {
    let emulator = Emulator::start().unwrap();
    let created = acs(&emulator, &["user", "create", "-o", "none"]);
    let user = emulator.users().pop().unwrap();
    let note =
        format!("acs: the id was not printed; the user {user} was created: use it or delete it\n");
    assert_eq!((&*created.stdout, &*created.stderr, created.code()), ("", &*note, Some(0)));
    let words = ["token", "issue", "-s", "voip", "-u", &user, "-o", "none", "--query", "token"];
    acs(&emulator, &words).assert_printed("");
}

#[test]
fn check_online_proves_the_credential_and_leaves_nobody_behind() {
    let emulator = Emulator::builder().clock_behind(Duration::from_secs(3600)).start().unwrap();
    let checked = acs(&emulator, &["check", "--online"]);
    assert_eq!((checked.stderr.as_str(), checked.code()), ("", Some(0)));
    let json: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(json["online"], "credential accepted");
    assert!((-3601..=-3599).contains(&json["clock_offset_seconds"].as_i64().unwrap()), "{json}");
    assert!(json["milliseconds"].is_u64() && emulator.users().is_empty());

    let settings = format!("endpoint={};accesskey=d3Jvbmc=", emulator.endpoint());
    let checked = run(tool().args(["check", "--online", "--connection-string", &settings]));
    assert_eq!((checked.stdout.as_str(), checked.code()), ("", Some(3)), "{checked:?}");
    let settings = "endpoint=http://127.0.0.1:1;accesskey=d3Jvbmc=";
    let words = ["check", "--online", "--timeout", "1s", "--connection-string", settings];
    assert_eq!(run(tool().args(words)).code(), Some(1));
}

/// Only the service itself has `IdentityNotOwned` for nobody.
#[test]
fn check_online_says_who_else_responded() {
    let emulator = Emulator::start().unwrap();
    let front_door = "; the response seems to come from Azure Front Door, not from the service";
    let gateway = "; the response seems to come from a proxy, a gateway or another server, not from the service";
    for (status, azure_ref, code, origin) in [
        (404, true, 1, front_door),
        (404, false, 1, gateway),
        (401, false, 1, gateway),
        (403, true, 1, front_door),
        (302, false, 1, gateway),
        // Without a body, and yet with the service's own header.
        (401, true, 3, ""),
    ] {
        let fault = Fault::respond(status).body(if origin.is_empty() { "" } else { "<html>" });
        let fault = if origin.is_empty() { fault } else { from_elsewhere(fault, azure_ref) };
        emulator.inject(fault);
        let checked = acs(&emulator, &["check", "--online"]);
        assert_eq!((&*checked.stdout, checked.code()), ("", Some(code)), "{checked:?}");
        assert!(checked.stderr.ends_with(&format!("]{origin}\n")), "{checked:?}");
    }
    emulator
        .inject(Fault::respond(200).body(r#"{"token":"t","expiresOn":"2099-01-01T00:00:00Z"}"#));
    let host = emulator.endpoint().replace("http://", "");
    acs(&emulator, &["check", "--online"]).assert_failed(
        1,
        &format!("acs: {host} issued a token for a user who does not exist: it is not the service"),
    );
}

#[test]
fn completion_scripts_know_the_commands_and_options() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef acs"),
        ("fish", "complete -c acs"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = run(tool().args(["completion", shell]));
        assert_eq!((script.stderr.as_str(), script.code()), ("", Some(0)));
        for word in [sign, "from-file", "token", "connection-string", "dry-run"] {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
    }
}

/// Bash would complete the names of files otherwise.
#[test]
fn completion_knows_the_values_of_options() {
    let script = run(tool().args(["completion", "bash"])).stdout;
    let words = script
        + "\nCOMP_WORDS=(acs \"$@\" ''); COMP_CWORD=$(($# + 1))\n_acs acs '' \"${@: -1}\"; echo \"${COMPREPLY[@]}\"";
    for (arguments, values) in [
        (&["token", "issue", "--scope"][..], "chat voip chat.join chat.join.limited voip.join\n"),
        (&["emulator", "--log-format"], "text json none\n"),
        (&["token", "issue", "--query"], "user_id token expires_on\n"),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-c", &words, "bash"]).args(arguments).stdin(Stdio::null());
        // Not every system has it.
        let Ok(output) = bash.output() else { return };
        assert_eq!(String::from_utf8(output.stdout).unwrap(), values);
    }
}

#[test]
fn verbose_writes_a_line_for_each_request_without_secrets() {
    let emulator = Emulator::start().unwrap();
    let user = &create_users(&emulator, 1)[0];
    let issued = acs(&emulator, &["token", "issue", "-v", "-s", "voip", "-u", user]);
    let (token, _) = printed_token(&issued);
    assert!(!issued.stderr.contains(&token));
    let lines: Vec<&str> = issued.stderr.lines().collect();
    let [settings, request] = lines[..] else { panic!("{issued:?}") };
    let endpoint = emulator.endpoint();
    let source = format!("access key from {QUICKSTART_VARIABLE}");
    assert_eq!(settings, format!("acs: {endpoint}, api-version 2023-10-01, {source}"));
    assert!(request.starts_with(&format!("acs: issue_token {user}: 200 in ")), "{request}");
    assert!(request.contains(" ms, attempts 1, client-request-id "), "{request}");
    let ids = File::new("verbose", user);
    let deleted = acs(&emulator, &["user", "delete", "-v", "-y", "--from-file", &ids]);
    assert!(deleted.stderr.contains(&format!("acs: delete_user {user}: 204 in ")), "{deleted:?}");
    assert_eq!(acs(&emulator, &["check", "-q", "-v"]).code(), Some(2));
}

#[test]
fn token_issue() {
    let emulator = Emulator::start().unwrap();
    let user = &create_users(&emulator, 1)[0];
    let arguments = ["token", "issue", "--scope", "chat", "voip", "--user", user];
    let issued = acs(&emulator, &[&arguments[..], &["--expires-in", "1h30m"]].concat());
    let token = printed_token(&issued);
    issued.assert_printed(&format!(
        "{{\n  \"expires_on\": \"{}\",\n  \"token\": \"{}\",\n  \"user_id\": \"{user}\"\n}}\n",
        token.1, token.0
    ));
    assert!(emulator.is_token_valid(&token.0));
    assert_eq!(last_body(&emulator), json!({"scopes": ["chat", "voip"], "expiresInMinutes": 90}));

    let issued =
        acs(&emulator, &["token", "issue", "-s", "chat", "-s", "voip.join,voip", "-u", user]);
    assert!(emulator.is_token_valid(&printed_token(&issued).0));
    assert_eq!(last_body(&emulator), json!({"scopes": ["chat", "voip.join", "voip"]}));
    assert_eq!(emulator.users(), [user.as_str()]);
}

#[test]
fn token_issue_creates_a_user_if_none_is_named() {
    let emulator = Emulator::start().unwrap();
    let issued = acs(&emulator, &["token", "issue", "--scope", "voip", "--output", "tsv"]);
    let values: Vec<&str> = issued.stdout.trim_end().split('\t').collect();
    let [user, token, expires_on] = values[..] else { panic!("{issued:?}") };
    issued.assert_printed(&format!("{user}\t{token}\t{expires_on}\n"));
    assert_eq!(emulator.users(), [user]);
    assert!(emulator.is_token_valid(token));
    assert!(expires_on.ends_with("+00:00"), "{expires_on}");

    // As snippets for az have it.
    let issued = acs(&emulator, &["token", "issue", "--scope", "voip", "--query", "token"]);
    assert!(emulator.is_token_valid(issued.stdout.strip_suffix('\n').unwrap()));
    let user = emulator.users().pop().unwrap();
    let note =
        format!("acs: the id was not printed; the user {user} was created: use it or delete it\n");
    assert_eq!((issued.stderr, issued.status.code()), (note, Some(0)));
    let words = ["token", "issue", "--scope", "voip", "--user", &user, "--query", "token"];
    let issued = acs(&emulator, &words);
    issued.assert_printed(&format!("{}\n", issued.stdout.trim_end()));
}

#[test]
fn token_revoke() {
    let emulator = Emulator::start().unwrap();
    let client = client(&emulator);
    let (user, token) = client.create_user_and_token(["voip"]).unwrap();
    acs(&emulator, &["token", "revoke", "--user", user.identifier(), "--yes"]).assert_printed("");
    assert!(!emulator.is_token_valid(token.token()));
    assert_eq!(emulator.users(), [user.identifier()]);
}

#[test]
fn token_exchange_also_has_the_words_of_az() {
    let emulator = Emulator::start().unwrap();
    let client = "11111111-2222-3333-4444-555555555555";
    let user = "66666666-7777-8888-9999-000000000000";
    emulator.accept_teams_token("eyJ.teams", client, user);
    for words in [
        ["exchange", "--teams-token", "--teams-user"],
        ["get-for-teams-user", "--aad-token", "--aad-user"],
    ] {
        let [command, token, teams_user] = words;
        let arguments =
            ["token", command, token, "eyJ.teams", "--client", client, teams_user, user];
        let exchanged = acs(&emulator, &arguments);
        let (token, expires_on) = printed_token(&exchanged);
        exchanged.assert_printed(&format!(
            "{{\n  \"expires_on\": \"{expires_on}\",\n  \"token\": \"{token}\"\n}}\n"
        ));
        assert_ne!(token, "eyJ.teams");
        assert_eq!(
            last_body(&emulator),
            json!({"token": "eyJ.teams", "appId": client, "userId": user})
        );
    }
}

#[test]
fn token_exchange_takes_the_token_from_stdin() {
    let emulator = Emulator::start().unwrap();
    let id = "11111111-2222-3333-4444-555555555555";
    emulator.accept_teams_token("eyJ.teams", id, id);
    let mut command = with_stdin(tool_for(&emulator), &File::new("teams-token", "eyJ.teams\r\n"));
    command.args(["token", "exchange", "--client", id, "--teams-user", id, "--teams-token", "-"]);
    assert_eq!(run(&mut command).code(), Some(0));
    assert_eq!(last_body(&emulator)["token"], "eyJ.teams");
}

#[test]
fn user_delete() {
    let emulator = Emulator::start().unwrap();
    let users = create_users(&emulator, 5);
    acs(&emulator, &["user", "delete", "--user", &users[0], "--yes"]).assert_printed("");
    assert_eq!(emulator.users(), users[1..]);
    let (several, repeated) = (["--user", &users[1], &users[2]], ["--user", &users[3], "-y"]);
    acs(&emulator, &[&["user", "delete"][..], &several, &repeated].concat()).assert_printed("");
    assert_eq!(emulator.users(), users[4..]);
}

#[test]
fn check_sends_nothing() {
    let emulator = Emulator::start().unwrap();
    let checked = acs(&emulator, &["check"]);
    assert_eq!((checked.stderr.as_str(), checked.code()), ("", Some(0)));
    let json: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(
        json,
        json!({
            "endpoint": emulator.endpoint(),
            "api_version": "2023-10-01",
            "credential": "access key",
            "settings_from": QUICKSTART_VARIABLE,
            "ca_file": null,
            "proxy": null,
            "online": null,
            "milliseconds": null,
            "clock_offset_seconds": null,
        })
    );
    assert_eq!(emulator.request_count(), 0);
}

#[test]
fn settings_of_api_version_and_timeout_are_heeded() {
    let emulator = Emulator::start().unwrap();
    let created = acs(&emulator, &["user", "create", "--api-version", "2022-10-01"]);
    assert_eq!(created.code(), Some(0));
    assert!(emulator.requests()[0].target().ends_with("api-version=2022-10-01"));

    emulator.inject(Fault::stall().on(Operation::Create));
    let started = Instant::now();
    let late = acs(&emulator, &["--timeout", "1s", "user", "create"]);
    // Left to itself, the client waits for 18 s.
    assert!(started.elapsed() < Duration::from_secs(12));
    assert_eq!((late.stdout.as_str(), late.code()), ("", Some(1)));
    assert_eq!(late.stderr.lines().count(), 1, "{late:?}");
}

fn printed_token(ended: &Ended) -> (String, String) {
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    let text = |key: &str| json[key].as_str().unwrap().to_owned();
    (text("token"), text("expires_on"))
}

fn last_body(emulator: &Emulator) -> Value {
    serde_json::from_slice(emulator.requests().last().unwrap().body()).unwrap()
}
