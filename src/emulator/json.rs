//! JSON as the service writes it: no spaces, names in a fixed order (`serde_json`'s own map would
//! sort them).

use serde_json::Value;

/// `{"name":value,…}`; the values are JSON already.
pub(super) fn object<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let members: Vec<String> =
        members.into_iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// `[value,…]`; the values are JSON already.
pub(super) fn array(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(","))
}

/// A string with its quotes. `+` and `'` stay as they are, as in the service's responses.
pub(super) fn text(value: &str) -> String {
    Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_and_escapes_only_what_it_must() {
        let inner = object([("z", text("doesn't+\"\\\n"))]);
        assert_eq!(
            object([("b", inner), ("a", "1".to_owned())]),
            r#"{"b":{"z":"doesn't+\"\\\n"},"a":1}"#
        );
        assert_eq!(object([]), "{}");
    }
}
