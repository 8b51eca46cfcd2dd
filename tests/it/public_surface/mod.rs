//! The public surface, written down: nothing is added, changed or lost unnoticed.
//!
//! It is read from the sources, since what rustdoc could tell is not stable yet.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use surface::{Line, Surface};

mod source;
mod surface;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/public-surface.txt");
const UPDATE: &str = "UPDATE_SURFACE";

fn surface() -> Surface {
    Surface::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// Each item by its public path, and what belongs to it in alphabetical order.
fn written(surface: &Surface) -> String {
    let mut items: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in &surface.lines {
        items.entry(&line.owner).or_default().push(&line.text);
    }
    let mut text = String::new();
    for (owner, mut lines) in items {
        lines.sort_unstable();
        writeln!(text, "{owner}").unwrap();
        for line in lines {
            writeln!(text, "    {line}").unwrap();
        }
    }
    text
}

#[test]
fn is_the_one_that_was_agreed_on() {
    let now = written(&surface());
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(FILE, &now).unwrap();
        return;
    }
    let agreed = std::fs::read_to_string(FILE).unwrap_or_default();
    let only_in = |one: &str, other: &str, sign: char| -> String {
        let other: Vec<_> = with_owners(other);
        let lines = with_owners(one).into_iter().filter(|line| !other.contains(line));
        let lines: Vec<_> =
            lines.map(|(owner, line)| format!("{sign} {owner}: {line}\n")).collect();
        lines.concat()
    };
    assert!(
        now == agreed,
        "the public surface changed:\n{}{}If that is meant, run\n    {UPDATE}=1 cargo test --test it public_surface\nand commit tests/data/public-surface.txt; say in CHANGELOG.md what it means for callers.",
        only_in(&agreed, &now, '-'),
        only_in(&now, &agreed, '+'),
    );
}

/// The lines of the file, each with the item that it belongs to.
fn with_owners(text: &str) -> Vec<(&str, &str)> {
    let mut owner = "";
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(line) => lines.push((owner, line)),
            None => owner = line,
        }
    }
    lines
}

/// Users meet the versions of these crates in their own manifests: a type of any other would tie
/// them to ours.
#[test]
fn names_only_std_this_crate_http_and_the_agent() {
    let foreign: Vec<String> = surface()
        .lines
        .iter()
        .flat_map(|line| line.foreign.iter().map(move |path| (line, path)))
        .filter(|(line, path)| !is_allowed(line, path))
        .map(|(line, path)| format!("{}: {}: {path}", line.owner, line.text))
        .collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
}

fn is_allowed(line: &Line, path: &str) -> bool {
    let serde_trait =
        line.text.starts_with("impl") && ["serde::Serialize", "serde::Deserialize"].contains(&path);
    let agent = path == "ureq::Agent" && line.text.starts_with("pub fn agent(");
    path.starts_with("ureq::http::") || serde_trait || agent
}

/// That the reader of the sources sees what there is to see, in every form that it comes in.
#[test]
fn is_read_in_full() {
    let surface = surface();
    for (owner, text) in [
        ("acs_identity::AccessKey", "pub struct AccessKey #[derive(Clone)]"),
        ("acs_identity::AccessKey", "impl FromStr for AccessKey"),
        // In another file than the type.
        (
            "acs_identity::AccessKey",
            "pub fn sign(&self, request: &RequestToSign<'_>, at: SystemTime) -> Result<SignedHeaders, Error>",
        ),
        ("acs_identity::RequestToSign", "pub body: &'a [u8]"),
        ("acs_identity::ApiVersion", "pub const V2023_10_01: Self"),
        ("acs_identity::RetryPolicy", "pub const fn none() -> Self"),
        ("acs_identity::ErrorKind", "Timeout"),
        (
            "acs_identity::CommunicationIdentifier",
            "MicrosoftTeamsApp { app_id: String, cloud: CommunicationCloud }",
        ),
        (
            "acs_identity::CommunicationUserIdentifier",
            "impl TryFrom<CommunicationIdentifier> for CommunicationUserIdentifier",
        ),
        (
            "acs_identity::TokenRequest",
            "impl<T: Clone + Into<TokenScope>, const N: usize> From<&[T; N]> for TokenRequest",
        ),
        (
            "acs_identity::TokenCredential",
            "fn bearer_token(&self, scope: &str) -> Result<BearerToken, Box<dyn StdError + Send + Sync>>",
        ),
        (
            "acs_identity::TokenCredential",
            "impl<F> TokenCredential for F where F: Fn(&str) -> Result<BearerToken, Box<dyn StdError + Send + Sync>> + Send + Sync + 'static",
        ),
        ("acs_identity::emulator::Emulator", "pub fn start() -> io::Result<Self>"),
        ("acs_identity::emulator::Operation", "Exchange"),
        ("acs_identity::emulator::RecordedRequest", "pub fn headers(&self) -> &HeaderMap"),
    ] {
        let found = surface.lines.iter().any(|line| line.owner == owner && line.text == text);
        assert!(found, "{owner}: {text}");
    }
    let private = ["Pipeline", "Cache", "Journal", "Expires", "pub(crate)", "pub(super)", "cfg"];
    for line in &surface.lines {
        assert!(!private.iter().any(|name| line.text.contains(name)), "{}", line.text);
    }
    // Every name that is re-exported has its definition.
    for path in &surface.exported {
        assert!(surface.lines.iter().any(|line| line.owner == *path), "{path} was not found");
    }
    let names: Vec<String> =
        surface.exported.iter().map(|path| path.rsplit("::").next().unwrap().to_owned()).collect();
    assert_eq!(names, capitalised_in_public_lines(), "in another way");
}

/// The types that the two public modules declare or re-export, as a text search finds them.
fn capitalised_in_public_lines() -> Vec<String> {
    let lib = include_str!("../../../src/lib.rs");
    let emulator = include_str!("../../../src/emulator/mod.rs");
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("pub "));
        let words = lines.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
        let mut names: Vec<_> = words
            .filter(|word| word.starts_with(|c: char| c.is_uppercase()))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names
    };
    [names(lib), names(emulator)].concat()
}
