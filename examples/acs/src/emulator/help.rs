//! What the program can be told: each name once, for its help and for the shell's completion.

/// An option's name, its values and what it does.
pub(crate) type Opt = (&'static str, &'static [&'static str], &'static str);

pub(crate) const ABOUT: &str =
    "Run a local identity service, for programs in any language, until Ctrl-C";

pub(crate) const OPTIONS: [Opt; 13] = [
    ("address", &["HOST:PORT"], "Listen here [default: 127.0.0.1 and a free port]"),
    (
        "tls",
        &[],
        "Speak https, with a certificate for localhost, 127.0.0.1 and ::1. The lines after the connection string are settings that make clients trust it",
    ),
    (
        "tls-name",
        &["NAME"],
        "Add this host name or address to the certificate, and use the first in the connection string. May be repeated. Includes --tls",
    ),
    (
        "tls-authority",
        &["FILE"],
        "Write the certificate that clients have to trust to this file [default: one in the folder for temporary files]. Includes --tls",
    ),
    ("access-key", &["BASE64"], "Accept signatures under this key [default: a random one]"),
    ("bearer-token", &["TOKEN"], "Accept this bearer token, too. May be repeated"),
    (
        "teams-token",
        &["TOKEN", "APP_ID", "USER_ID"],
        "Exchange this Entra token of a Teams user, for one hour; the ids are GUIDs. May be repeated",
    ),
    ("clock-ahead", &["TIME"], "Run the clock ahead of the system's by a time such as 20m or 2h"),
    ("clock-behind", &["TIME"], "Run the clock behind the system's"),
    ("throttling", &[], "Respond with 429 beyond the published limits of the service"),
    ("seed", &["NUMBER"], "Give users the same ids in every run"),
    ("log-format", &["FORMAT"], "Write the log as text or as json [default: text]"),
    (
        "fault",
        &["SPEC"],
        "Fail on purpose. May be repeated; if several apply, the first one is used",
    ),
];

/// How `--fault` is told what goes wrong, and when.
pub(crate) const GRAMMAR: &str = "\
SPEC is OPERATION:FAILURE, then *N for the next N requests, %N for every Nth request, or both. Without them, the next request fails.
OPERATION is create, get, delete, issue, revoke, exchange, or * for all.
FAILURE is one of:
  STATUS       respond with this status, 200 to 599; nothing is done
  STATUS=TIME  the same, with a Retry-After of this time
  drop         close the connection; nothing is done
  drop-after   do what was asked, then close the connection
  delay=TIME   do what was asked, respond after this time
  drip=TIME    do what was asked, send one byte of the response in each interval
  truncate     do what was asked, send half of the response
  stall        never respond; nothing is done
  stall-body   do what was asked, send half of the response, then nothing
TIME is such as 2s, 250ms or 10m, up to an hour.
For example 'issue:429=5s*3', create:drop-after, '*:delay=2s%1' (every request), delete:503%10.";

pub(crate) const LOG: &str = "\
The first line on stdout is the connection string. Each request is a line on stderr: time, method, path, status, and why it was refused. Lines that nobody reads are dropped, and counted.

POST /emulator/reset forgets users, tokens, faults and counts; GET /emulator/state shows users and counts. Neither is signed.

Exit codes: 1 if it cannot run, 2 if the arguments are wrong.";
