//! Proxies from the environment: each test runs a process and counts the requests to the proxy.

use std::ffi::OsStr;
use std::process::Command;
use std::thread;

use acs_identity::emulator::Emulator;
use acs_identity::ureq::{Agent, Proxy};

use crate::support::process::{example, run};
use crate::support::server::{closing, response};
use crate::support::{CANARY_KEY, Server, UNKNOWN_HOST, builder};

const VARIABLES: [&str; 8] = [
    "ALL_PROXY",
    "all_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// A program that creates a user at a host that is unknown without a query to a name server.
fn quickstart() -> Command {
    let mut command = example("quickstart");
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    let connection_string = format!("endpoint=https://{UNKNOWN_HOST};accesskey={CANARY_KEY}");
    command.env("COMMUNICATION_SERVICES_CONNECTION_STRING", connection_string);
    command
}

/// Returns the error that the program prints with these variables.
fn error_with<V: AsRef<OsStr>>(variables: &[(&str, V)]) -> String {
    let mut command = quickstart();
    let output = run(command.envs(variables.iter().map(|(name, value)| (name, value))));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{stderr}");
    for part in ["secret", "proxy.example"] {
        assert!(!stderr.contains(part), "{stderr}");
    }
    stderr
}

fn proxy(status: &str) -> Server {
    Server::answering(closing(&response(status, "", "")))
}

// On Windows, the names of variables are case-insensitive.
#[cfg(not(windows))]
#[test]
fn proxy_is_asked_unless_no_proxy_names_the_host() {
    let host = UNKNOWN_HOST;
    let with_port = format!("{host}:443");
    let after_a_blank = format!("localhost, {host}");
    let cases: [(&[(&str, &str)], bool); 16] = [
        (&[], true),
        (&[("NO_PROXY", host)], false),
        (&[("NO_PROXY", "invalid")], false),
        (&[("NO_PROXY", ".invalid")], false),
        (&[("NO_PROXY", "*.invalid")], false),
        (&[("NO_PROXY", "INVALID")], false),
        (&[("NO_PROXY", &with_port)], false),
        (&[("NO_PROXY", "invalid:443")], false),
        (&[("NO_PROXY", &after_a_blank)], false),
        (&[("NO_PROXY", "*")], false),
        (&[("NO_PROXY", ""), ("no_proxy", "invalid")], false),
        (&[("no_proxy", ""), ("NO_PROXY", "invalid")], false),
        (&[("NO_PROXY", "")], true),
        (&[("NO_PROXY", "valid")], true),
        (&[("NO_PROXY", "invalid:8443")], true),
        (&[("NO_PROXY", "localhost,127.0.0.1,azure.com")], true),
    ];
    thread::scope(|scope| {
        for (exempt, is_asked) in cases {
            scope.spawn(move || {
                let proxy = proxy("502 Bad Gateway");
                let url = format!("http://{}", proxy.address());
                let mut variables = exempt.to_vec();
                variables.push(("HTTPS_PROXY", &url));
                let stderr = error_with(&variables);
                // A 502 from the proxy may be temporary: it is retried.
                let requests = if is_asked { 4 } else { 0 };
                assert_eq!(proxy.requests().len(), requests, "{exempt:?}: {stderr}");
                assert_eq!(stderr.contains("the proxy did not connect"), is_asked, "{stderr}");
            });
        }
    });
}

#[cfg(not(windows))]
#[test]
fn proxy_variables_that_do_not_apply_are_not_checked() {
    const SOCKS: &str = "socks5://user:secret@proxy.example:1080";
    let cases: [(&str, &[(&str, &str)]); 7] = [
        ("HTTPS_PROXY", &[("ALL_PROXY", SOCKS)]),
        ("https_proxy", &[("ALL_PROXY", SOCKS), ("HTTP_PROXY", SOCKS), ("HTTPS_PROXY", SOCKS)]),
        ("https_proxy", &[("HTTPS_PROXY", "")]),
        ("HTTPS_PROXY", &[("https_proxy", "")]),
        ("ALL_PROXY", &[("HTTPS_PROXY", ""), ("HTTP_PROXY", SOCKS)]),
        ("all_proxy", &[("ALL_PROXY", SOCKS)]),
        ("ALL_PROXY", &[("all_proxy", ""), ("http_proxy", SOCKS)]),
    ];
    thread::scope(|scope| {
        for (variable, others) in cases {
            scope.spawn(move || {
                let proxy = proxy("403 Forbidden");
                let url = format!("http://user:secret@{}", proxy.address());
                let mut variables = others.to_vec();
                variables.push((variable, &url));
                let stderr = error_with(&variables);
                let text = format!(
                    ": the proxy did not connect to the service (403): check {variable}, the endpoint and what the proxy allows; NO_PROXY exempts a host; nothing was sent ["
                );
                assert!(stderr.contains(&text), "{variable}: {stderr}");
                assert_eq!(proxy.requests().len(), 1, "{variable} {others:?}");
            });
        }
        // HTTP_PROXY applies to plain http only.
        scope.spawn(|| {
            let proxy = proxy("403 Forbidden");
            let url = format!("http://{}", proxy.address());
            let stderr = error_with(&[("HTTP_PROXY", &url), ("http_proxy", &url)]);
            assert!(stderr.contains("the service could not be reached"), "{stderr}");
            assert_eq!(proxy.connections(), 0);
        });
    });
}

#[test]
fn proxy_that_cannot_be_used_is_rejected_before_anything_is_sent() {
    let rejections = [
        ("ALL_PROXY", "socks5://user:secret@proxy.example:1080", "names a SOCKS proxy"),
        ("HTTPS_PROXY", "ftp://proxy.example", "does not name an http or https proxy"),
        ("HTTPS_PROXY", r"http://DOM\user:secret@proxy.example:3128", "must be percent-encoded"),
        ("HTTPS_PROXY", "http://user:se#cret@proxy.example:3128", "must be percent-encoded"),
        ("HTTPS_PROXY", "http://user:secret@proxy.example:99999", "has an invalid port"),
    ];
    thread::scope(|scope| {
        for (variable, value, reason) in rejections {
            scope.spawn(move || {
                let stderr = error_with(&[(variable, value)]);
                assert!(stderr.starts_with(&format!("quickstart: {variable} ")), "{stderr}");
                assert!(stderr.contains(reason), "{stderr}");
                assert!(!stderr.contains("client-request-id"), "{stderr}");
            });
        }
    });
}

#[cfg(unix)]
#[test]
fn proxy_that_is_not_utf_8_is_rejected() {
    use std::os::unix::ffi::OsStrExt as _;

    let value = OsStr::from_bytes(b"http://user:secret\xff@proxy.example:3128");
    let stderr = error_with(&[("ALL_PROXY", value)]);
    assert!(stderr.starts_with("quickstart: ALL_PROXY has a character"), "{stderr}");
}

#[test]
fn proxy_that_requires_a_login_gets_advice_that_depends_on_the_url() {
    for (login, text) in [
        (
            "",
            ": the proxy requires a login (407): put its user name and password into the proxy's URL, in HTTPS_PROXY; NO_PROXY exempts a host; nothing was sent [",
        ),
        (
            "user:secret@",
            ": the proxy rejected the login (407): check the user name and password in HTTPS_PROXY; a proxy that requires NTLM or Kerberos needs a local one in front of it, such as cntlm; NO_PROXY exempts a host; nothing was sent [",
        ),
    ] {
        let proxy = proxy("407 Proxy Authentication Required");
        let url = format!("http://{login}{}", proxy.address());
        let stderr = error_with(&[("HTTPS_PROXY", &url)]);
        assert!(stderr.contains(text), "{stderr}");
        let requests = proxy.requests();
        assert!(requests.len() == 1 && requests[0].starts_with("CONNECT "), "{requests:?}");
    }
}

#[test]
fn proxy_that_is_unreachable_is_reported_with_its_variable() {
    let stderr = error_with(&[("ALL_PROXY", "http://user:secret@127.0.0.1:1")]);
    let text = ": the proxy, or the service through it, could not be reached: check ALL_PROXY, the endpoint and the network; NO_PROXY exempts a host; nothing was sent (4 attempts in ";
    assert!(stderr.contains(text), "{stderr}");
}

/// A proxy cannot reach this machine's loopback addresses.
#[test]
fn proxy_is_not_used_for_the_local_service() {
    let mut command = quickstart();
    command.env_remove("COMMUNICATION_SERVICES_CONNECTION_STRING");
    let output = run(command.env("ALL_PROXY", "socks5://user:secret@proxy.example:1"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Plain http would show the signature.
#[test]
fn proxy_of_an_agent_is_not_used_for_plain_http() {
    let (emulator, proxy) = (Emulator::start().unwrap(), proxy("403 Forbidden"));
    let url = Proxy::new(&format!("http://{}", proxy.address())).unwrap();
    let agent = Agent::config_builder().proxy(Some(url)).build().new_agent();
    builder(&emulator).agent(agent).build().unwrap().create_user().unwrap();
    assert_eq!(proxy.connections(), 0);
}
