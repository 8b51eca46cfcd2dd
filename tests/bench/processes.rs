//! This executable run again, as the service and as a program that asks for one token.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ureq::tls::Certificate;

use crate::caching_resolver::Addresses;
use crate::server::{self, Service};
use crate::sides::{Bare, Call, Ours, Side, agent, config};

/// The service in a process of its own, which ends with this one.
pub(crate) struct Server {
    child: Child,
    pub(crate) service: Service,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut child = again(&["serve"]);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, service: Service::from_text(&line) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It serves until its standard input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What a process told: how long it took from its start to its end, and its memory in KiB.
pub(crate) struct Ran {
    pub(crate) wall: Duration,
    pub(crate) peak: Option<i64>,
    /// After a hundredth of the calls, and after all of them.
    pub(crate) growth: Option<(i64, i64)>,
}

/// Runs a process of `calls` calls to its end.
pub(crate) fn run(side: &str, scheme: &str, calls: usize, service: &Service) -> Ran {
    let started = Instant::now();
    let mut child = again(&["calls", side, scheme, &calls.to_string(), &service.to_text()]);
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success());
    let wall = started.elapsed();
    let told: Vec<Option<i64>> = told.split_whitespace().map(|it| it.parse().ok()).collect();
    Ran { wall, peak: told[0], growth: told[1].zip(told[2]) }
}

fn again(arguments: &[&str]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Does what [`again`] asks for; false if this is not such a process.
pub(crate) fn is_one() -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => {
            println!("{}", server::start().to_text());
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
        }
        ["calls", side, scheme, calls, service] => {
            let service = Service::from_text(service);
            let side = side_of(side, scheme, &service);
            let calls: usize = calls.parse().unwrap();
            for _ in 0..calls.div_ceil(100) {
                side.call(Call::Issue);
            }
            let early = memory("VmRSS:");
            for _ in calls.div_ceil(100)..calls {
                side.call(Call::Issue);
            }
            let text = |kib: Option<u64>| kib.map_or("-".to_owned(), |kib| kib.to_string());
            let (peak, late) = (memory("VmHWM:"), memory("VmRSS:"));
            println!("{} {} {}", text(peak), text(early), text(late));
        }
        ["steps", side, endpoint, root] => steps(side, endpoint, &fs::read(root).unwrap()),
        _ => return false,
    }
    true
}

/// Takes the steps that are read from standard input, and prints how many microseconds each took.
fn steps(side: &str, endpoint: &str, pem: &[u8]) {
    let root = Certificate::from_pem(pem).unwrap();
    let addresses = Addresses::new(Duration::from_secs(30));
    let side: Box<dyn Side> = match side {
        "ours" => Box::new(Ours::trusting(endpoint, Some(root.der()))),
        "bare" => Box::new(Bare::new(endpoint, agent(Some(root.der())))),
        _ => {
            let agent = addresses.agent(config(Some(root.der())).build());
            Box::new(Ours::new(endpoint, Some(agent)))
        }
    };
    for step in std::io::stdin().lines() {
        let call = if step.unwrap() == "create" { Call::Create } else { Call::Issue };
        let started = Instant::now();
        side.call(call);
        println!("{}", started.elapsed().as_micros());
    }
}

/// Both sides with the agent that the library makes for itself.
pub(crate) fn side_of(side: &str, scheme: &str, service: &Service) -> Box<dyn Side> {
    let (endpoint, root) = endpoint(scheme, service);
    match side {
        "ours" => Box::new(Ours::trusting(&endpoint, root)),
        _ => Box::new(Bare::new(&endpoint, agent(root))),
    }
}

/// The endpoint by its scheme, and the certificate to trust, if any.
pub(crate) fn endpoint<'a>(scheme: &str, service: &'a Service) -> (String, Option<&'a [u8]>) {
    match scheme {
        "http" => (format!("http://{}", service.http), None),
        "http, silent" => (format!("http://{}", service.http_silent), None),
        "http, closing" => (format!("http://{}", service.http_closing), None),
        "https, silent" => (format!("https://{}", service.https_silent), Some(&service.root)),
        "https" => (format!("https://{}", service.https), Some(&service.root)),
        _ => (format!("https://{}", service.https_closing), Some(&service.root)),
    }
}

/// In KiB, where the system tells it.
fn memory(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
