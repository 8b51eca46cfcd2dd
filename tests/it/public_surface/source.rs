//! Rust source text taken apart into items, as far as a list of them needs.

/// Something declared: attributes, the text up to its body, and the body if it has one in braces.
#[derive(Debug)]
pub struct Item {
    pub attributes: Vec<String>,
    pub head: String,
    pub body: Option<String>,
}

/// The source without comments, and with empty literals, so that every brace left in it is one.
pub fn cleaned(source: &str) -> String {
    let mut clean = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => 1 + string_end(&rest[1..]),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#\"") => raw_string_len(rest),
            '\'' => char_literal_len(rest),
            _ => 0,
        };
        if skipped == 0 {
            clean.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            rest = &rest[skipped..];
        }
    }
    clean
}

/// Where a string that began just before ends: behind its quotation mark.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            '"' if !escaped => return index + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

fn raw_string_len(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = 2 + hashes;
    text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len())
}

/// 0 for a lifetime.
fn char_literal_len(text: &str) -> usize {
    let mut chars = text[1..].char_indices();
    match chars.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |at| 3 + at + 1),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| 1 + at + 1),
        None => 0,
    }
}

/// The items of a file, or of a body.
pub fn items(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut attributes = Vec::new();
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    while !rest.is_empty() {
        if rest.starts_with("#[") || rest.starts_with("#![") {
            let open = rest.find('[').unwrap();
            let end = open + closing(&rest[open..]);
            attributes.push(spaced(&rest[..end]));
            rest = &rest[end..];
        } else {
            let is_use = rest.starts_with("use ") || rest.starts_with("pub use ");
            let (head, after) = rest.split_at(head_len(rest, is_use));
            let body = after.starts_with('{').then(|| &after[..closing(after)]);
            items.push(Item {
                attributes: std::mem::take(&mut attributes),
                head: spaced(head),
                body: body.map(|body| body[1..body.len() - 1].to_owned()),
            });
            rest = &after[body.map_or(0, str::len)..];
        }
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
    items
}

/// Up to the semicolon or the opening brace, but for those within parentheses and brackets.
fn head_len(text: &str, is_use: bool) -> usize {
    let mut depth = 0;
    for (index, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ';' if depth == 0 => return index,
            '{' if depth == 0 && !is_use => return index,
            _ => {}
        }
    }
    text.len()
}

/// The length of what begins with an opening bracket, up to the one that closes it.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (index, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    panic!("brackets do not match: {text}");
}

/// The parts between commas that are within no brackets, angle ones included.
pub fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    let mut before = ' ';
    for (index, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if before == '-' => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// On one line, without what rustfmt adds to break lines.
pub fn spaced(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    line.replace("( ", "(")
        .replace(", )", ")")
        .replace(" )", ")")
        .replace(",)", ")")
        .replace(", >", ">")
}

/// The names that a `use` brings in, each with its full path.
pub fn imports(tree: &str) -> Vec<(String, String)> {
    let tree = tree.trim();
    if let Some((prefix, group)) = tree.split_once('{') {
        let group = group.trim_end().trim_end_matches('}');
        // A nested group would be cut in the wrong place.
        assert!(!group.contains('{'), "a nested use is not understood: {tree}");
        return parts(group)
            .into_iter()
            .flat_map(|part| imports(&format!("{}{part}", prefix.trim())))
            .collect();
    }
    assert!(!tree.ends_with('*'), "a glob is not understood: {tree}");
    if let Some(module) = tree.strip_suffix("::self") {
        return imports(module);
    }
    let (path, name) = match tree.split_once(" as ") {
        Some((path, name)) => (path, name),
        None => (tree, tree.rsplit("::").next().unwrap()),
    };
    // A trait whose methods are used, and whose name is not.
    if name == "_" { Vec::new() } else { vec![(name.to_owned(), path.to_owned())] }
}
