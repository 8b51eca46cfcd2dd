//! The page on troubleshooting has an entry for every text of an error.

use std::fs;
use std::path::{Path, PathBuf};

/// Fragments of texts, and texts that are not errors.
const NOT_ERRORS: [&str; 15] = [
    " ({} attempts in",
    " [host {}",
    ", client-request-id {}",
    "a test fails by panicking",
    "any value",
    "bearer token",
    "Bearer ",
    "connection string {REFERENCE}",
    "Credential(",
    "HMAC-SHA256 ",
    "invalid peer certificate",
    "proxy server responded ",
    "the agent's proxy",
    "the documentation's examples need",
    "the endpoint or the application_id is malformed",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !matches!(name, "emulator" | "guide" | "tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs")
            && !matches!(name, "emulator.rs" | "tests.rs")
        {
            found.push(path);
        }
    }
}

/// The string literals of a file outside of comments, attributes and tests.
fn literals(source: &str) -> Vec<String> {
    let code = source.split("mod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with(['/', '#']));
    let code: Vec<char> = lines.collect::<Vec<_>>().join("\n").chars().collect();
    let (mut literals, mut literal, mut position) = (Vec::new(), None::<String>, 0);
    while let Some(&c) = code.get(position) {
        position += 1;
        match (c, &mut literal) {
            ('"', None) if code.get(position) != Some(&'\'') => literal = Some(String::new()),
            ('"', Some(_)) => literals.extend(literal.take()),
            ('\\', Some(text)) => {
                text.extend(code.get(position).filter(|c| **c != 'n'));
                position += 1;
            }
            (c, Some(text)) => text.push(c),
            _ => {}
        }
    }
    literals
}

/// What stands in italics on the page.
fn entries(page: &str) -> Vec<String> {
    let text = page.split_whitespace().collect::<Vec<_>>().join(" ").replace("**", "");
    text.split('*').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn troubleshooting_has_an_entry_for_every_text_of_an_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = entries(&fs::read_to_string(root.join("guide/troubleshooting.md")).unwrap());
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut texts, mut missing) = (0, Vec::new());
    for file in files {
        for text in literals(&fs::read_to_string(&file).unwrap()) {
            let fixed = text.split('{').map(|part| part.split('}').next_back().unwrap());
            let fixed = fixed.collect::<Vec<_>>().join(" ");
            let is_sentence = fixed.trim().contains(' ')
                && fixed.matches(|c: char| c.is_ascii_lowercase()).count() > 8;
            if !is_sentence || NOT_ERRORS.iter().any(|other| text.starts_with(other)) {
                continue;
            }
            texts += 1;
            let is_found = entries.iter().any(|entry| entry.contains(' ') && text.contains(entry));
            if !is_found {
                missing.push(format!("{}: {text}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "no entry for {missing:#?}");
    assert!(texts > 80, "{texts} texts were found");
}
