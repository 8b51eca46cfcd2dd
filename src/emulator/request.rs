//! A request as it arrived, and which operation it asks for.

use std::net::SocketAddr;

use ureq::http::{HeaderMap, Method, Version, header};

use super::response::Refusal;

/// An operation of the identity service, as faults and records name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `POST /identities`, with or without a token.
    Create,
    /// `DELETE /identities/{id}`.
    Delete,
    /// `POST /identities/{id}/:issueAccessToken`.
    Issue,
    /// `POST /identities/{id}/:revokeAccessTokens`.
    Revoke,
    /// `POST /teamsUser/:exchangeAccessToken`.
    Exchange,
}

impl Operation {
    pub(super) const ALL: [Self; 5] =
        [Self::Create, Self::Delete, Self::Issue, Self::Revoke, Self::Exchange];

    /// As logs and the words of faults name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Issue => "issue",
            Self::Revoke => "revoke",
            Self::Exchange => "exchange",
        }
    }
}

/// What came over the wire, with the target exactly as it was written there. The default stands for what
/// could not be read as a request.
#[derive(Clone, Default)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The emulator's end of the connection.
    pub(super) address: Option<SocketAddr>,
    pub(super) is_tls: bool,
}

/// Where method and path lead.
pub(super) struct Route {
    pub(super) operation: Operation,
    /// Empty where the path has none.
    pub(super) id: String,
    /// Whether only the preview of 2020 has it, or only what came after it.
    pub(super) is_first: Option<bool>,
}

/// The method, the path, the operation, and whether only the preview of 2020 has it or its successors do.
type Pattern = (Method, &'static [&'static str], Operation, Option<bool>);

const ROUTES: [Pattern; 7] = [
    (Method::POST, &["identities"], Operation::Create, None),
    (Method::DELETE, &["identities", ID], Operation::Delete, None),
    (Method::PATCH, &["identities", ID], Operation::Revoke, Some(true)),
    (Method::POST, &["identities", ID, "token"], Operation::Issue, Some(true)),
    (Method::POST, &["identities", ID, ":issueAccessToken"], Operation::Issue, Some(false)),
    (Method::POST, &["identities", ID, ":revokeAccessTokens"], Operation::Revoke, Some(false)),
    (Method::POST, &["teamsUser", ":exchangeAccessToken"], Operation::Exchange, Some(false)),
];

/// Stands for any segment that is not empty.
const ID: &str = "{id}";

impl Request {
    /// The header's text; `None` if it is absent or not ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Path and query as they are signed: the raw target, without scheme and host in the form that
    /// proxies are sent.
    pub(super) fn path_and_query(&self) -> &str {
        if self.target.starts_with('/') {
            return &self.target;
        }
        let Some((_, rest)) = self.target.split_once("://") else { return &self.target };
        rest.find(['/', '?']).and_then(|start| rest.get(start..)).unwrap_or("/")
    }

    pub(super) fn path(&self) -> &str {
        self.path_and_query().split('?').next().unwrap_or_default()
    }

    /// ASP.NET decodes the name, too, and ignores its case.
    pub(super) fn api_version(&self) -> Option<String> {
        let (_, query) = self.path_and_query().split_once('?')?;
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let is_named = |name| {
            percent_decoded(name).is_some_and(|name| name.eq_ignore_ascii_case("api-version"))
        };
        let (_, value) = pairs.find(|(name, _)| is_named(name))?;
        percent_decoded(value).filter(|value| !value.is_empty())
    }

    /// As ASP.NET routes: in any case, and with a slash at the end or without.
    pub(super) fn route(&self) -> Result<Route, Refusal> {
        const UNKNOWN: &str = "the signature or token is accepted, but the emulator has identities only: no operation has this path";

        // Split first, decode each segment once: an id may hold an escaped slash.
        let path = self.path().strip_prefix('/').unwrap_or("*");
        let segments = path.strip_suffix('/').unwrap_or(path).split('/').map(percent_decoded);
        let segments: Vec<String> = segments.collect::<Option<_>>().unwrap_or_default();
        let is_match = |(name, segment): (&&str, &String)| match *name {
            ID => !segment.is_empty(),
            name => name.eq_ignore_ascii_case(segment),
        };
        let mut allowed = Vec::new();
        for (method, names, operation, is_first) in ROUTES {
            if names.len() != segments.len() || !names.iter().zip(&segments).all(is_match) {
                continue;
            }
            if method == self.method {
                let has_id = names.get(1) == Some(&ID);
                let id = segments.get(1).filter(|_| has_id).cloned().unwrap_or_default();
                return Ok(Route { operation, id, is_first });
            }
            allowed.push(method.to_string());
        }
        // Ours: an empty body, as web servers respond where no operation is.
        if allowed.is_empty() {
            return Err(Refusal::empty(404, UNKNOWN));
        }
        let refusal = Refusal::empty(405, "the path takes another method");
        let response = refusal.response.with_header("Allow", allowed.join(", "));
        Err(Refusal { response, ..refusal })
    }

    pub(super) fn operation(&self) -> Option<Operation> {
        self.route().ok().map(|route| route.operation)
    }

    /// Whether the length of the body is told in a way that RFC 9112 forbids (sections 6.1 and 6.3), or by
    /// another coding.
    pub(super) fn is_misframed(&self) -> bool {
        let mut codings = self.headers.get_all(header::TRANSFER_ENCODING).iter();
        let Some(coding) = codings.next() else { return false };
        let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
        !is_chunked
            || codings.next().is_some()
            || self.headers.contains_key(header::CONTENT_LENGTH)
            || self.version == Version::HTTP_10
    }

    /// Whether the connection closes after the response. ureq-proto reads no body after a HEAD or a CONNECT,
    /// so what follows may be one.
    pub(super) fn closes(&self) -> bool {
        let list = self.header("connection").unwrap_or_default();
        has_token(list, "close")
            || (self.version == Version::HTTP_10 && !has_token(list, "keep-alive"))
            || matches!(self.method, Method::HEAD | Method::CONNECT)
    }
}

/// Whether a list has this token, in any case.
pub(super) fn has_token(list: &str, token: &str) -> bool {
    list.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// `None` for a broken escape, or for bytes that are not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        // from_str_radix alone would take a sign.
        let has_sign = digits.starts_with('+');
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !has_sign)?);
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, target: &str) -> Request {
        Request { method, target: target.to_owned(), ..Request::default() }
    }

    fn found(method: Method, target: &str) -> Option<(Operation, String, Option<bool>)> {
        let route = request(method, target).route().ok()?;
        Some((route.operation, route.id, route.is_first))
    }

    #[test]
    fn route_is_found_in_every_form_of_the_path() {
        for target in [
            "/identities/8:acs:A_b/:issueAccessToken?api-version=x",
            "/identities/8%3Aacs%3AA_b/:issueAccessToken",
            "/identities/8%3aacs%3aA_b/%3AissueAccessToken",
            "/Identities/8:acs:A_b/:issueaccesstoken",
            "/identities/8:acs:A_b/:issueAccessToken/?api-version=x",
            "http://127.0.0.1:1/identities/8%3Aacs%3AA_b/:issueAccessToken",
        ] {
            let expected = (Operation::Issue, "8:acs:A_b".to_owned(), Some(false));
            assert_eq!(found(Method::POST, target), Some(expected), "{target}");
        }
        let created = (Operation::Create, String::new(), None);
        assert_eq!(found(Method::POST, "/IDENTITIES/"), Some(created));
    }

    #[test]
    fn route_has_an_id_that_is_decoded_once_and_after_splitting() {
        let deleted = (Operation::Delete, "a/b%3A".to_owned(), None);
        assert_eq!(found(Method::DELETE, "/identities/a%2Fb%253A"), Some(deleted));
    }

    #[test]
    fn route_of_2020_is_known() {
        let issue = (Operation::Issue, "8:acs:a".to_owned(), Some(true));
        assert_eq!(found(Method::POST, "/identities/8%3Aacs%3Aa/token"), Some(issue));
        let revoke = (Operation::Revoke, "8:acs:a".to_owned(), Some(true));
        assert_eq!(found(Method::PATCH, "/identities/8:acs:a"), Some(revoke));
    }

    #[test]
    fn route_of_another_path_or_method_is_unknown() {
        for target in [
            "/",
            "//",
            "/identities//",
            "/identities//:issueAccessToken",
            "/identities//token",
            "/identity",
            "/identities/a/:issueAccessToken/b",
            "*",
            "/x%",
        ] {
            let refusal = request(Method::POST, target).route().map(|it| it.operation).unwrap_err();
            assert_eq!(refusal.response.status, 404, "{target}");
        }
        let refusal = request(Method::PUT, "/identities/8:acs:a").route().map(|it| it.id);
        let response = refusal.unwrap_err().response;
        assert_eq!((response.status, response.header("Allow")), (405, Some("DELETE, PATCH")));
    }

    #[test]
    fn api_version_has_a_name_that_is_decoded_and_ignores_case() {
        let of = |target| request(Method::POST, target).api_version();
        for target in ["/identities?x=1&API-Version=2023%2D10-01", "/?api%2Dversion=2023-10-01"] {
            assert_eq!(of(target).as_deref(), Some("2023-10-01"), "{target}");
        }
        for target in
            ["/identities", "/identities?", "/identities?api-version", "/identities?api-version="]
        {
            assert_eq!(of(target), None, "{target}");
        }
    }

    #[test]
    fn percent_decoded_refuses_broken_escapes() {
        for text in ["%", "%4", "%+4", "%zz", "%ff"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
    }
}
