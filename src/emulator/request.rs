//! A request as it arrived, and which operation it asks for.

use std::net::{Ipv4Addr, SocketAddr};

use ureq::http::{HeaderMap, Method, Version, header};

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

/// What came over the wire, with the target exactly as it was written there.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The emulator's end of the connection.
    pub(super) address: SocketAddr,
}

/// Where method and path lead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) operation: Operation,
    /// Empty where the path has none.
    pub(super) id: String,
    pub(super) dialect: Option<Dialect>,
}

/// The api-versions to which a route is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The preview of 2020.
    First,
    /// All that came after it.
    Present,
}

/// Why a request leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unrouted {
    /// The path exists, the method does not: the `Allow` header of the response.
    WrongMethod(String),
    UnknownPath,
}

type Pattern = (Method, &'static [&'static str], Operation, Option<Dialect>);

const ROUTES: [Pattern; 7] = {
    const FIRST: Option<Dialect> = Some(Dialect::First);
    const PRESENT: Option<Dialect> = Some(Dialect::Present);
    [
        (Method::POST, &["identities"], Operation::Create, None),
        (Method::DELETE, &["identities", ID], Operation::Delete, None),
        (Method::PATCH, &["identities", ID], Operation::Revoke, FIRST),
        (Method::POST, &["identities", ID, "token"], Operation::Issue, FIRST),
        (Method::POST, &["identities", ID, ":issueAccessToken"], Operation::Issue, PRESENT),
        (Method::POST, &["identities", ID, ":revokeAccessTokens"], Operation::Revoke, PRESENT),
        (Method::POST, &["teamsUser", ":exchangeAccessToken"], Operation::Exchange, PRESENT),
    ]
};

/// Stands for any segment that is not empty.
const ID: &str = "{id}";

impl Request {
    /// Stands for what could not be read as a request.
    pub(super) fn unreadable() -> Self {
        Self {
            method: Method::default(),
            target: String::new(),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: Vec::new(),
            address: (Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }

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
    pub(super) fn route(&self) -> Result<Route, Unrouted> {
        let path = self.path().strip_prefix('/').ok_or(Unrouted::UnknownPath)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        // Split first, decode each segment once: an id may hold an escaped slash.
        let segments: Option<Vec<String>> = path.split('/').map(percent_decoded).collect();
        let segments = segments.ok_or(Unrouted::UnknownPath)?;
        let is_match = |(name, segment): (&&str, &String)| match *name {
            ID => !segment.is_empty(),
            name => name.eq_ignore_ascii_case(segment),
        };
        let matches = |names: &[&str]| {
            names.len() == segments.len() && names.iter().zip(&segments).all(is_match)
        };
        let mut allowed = Vec::new();
        for (method, names, operation, dialect) in ROUTES.iter().filter(|it| matches(it.1)) {
            if *method == self.method {
                let id = names.iter().position(|name| *name == ID);
                let id = id.and_then(|id| segments.get(id)).cloned().unwrap_or_default();
                return Ok(Route { operation: *operation, id, dialect: *dialect });
            }
            allowed.push(method.as_str());
        }
        Err(if allowed.is_empty() {
            Unrouted::UnknownPath
        } else {
            Unrouted::WrongMethod(allowed.join(", "))
        })
    }

    pub(super) fn operation(&self) -> Option<Operation> {
        self.route().ok().map(|route| route.operation)
    }

    /// What is wrong with the framing of a body (RFC 9112, sections 6.1 and 6.3).
    pub(super) fn framing_error(&self) -> Option<(u16, &'static str)> {
        let mut codings = self.headers.get_all(header::TRANSFER_ENCODING).iter();
        let coding = codings.next()?.as_bytes().trim_ascii();
        if self.headers.contains_key(header::CONTENT_LENGTH) {
            return Some((400, "the request has both Content-Length and Transfer-Encoding"));
        }
        if self.version == Version::HTTP_10 {
            return Some((400, "HTTP/1.0 has no Transfer-Encoding"));
        }
        let is_chunked = coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
        (!is_chunked).then_some((501, "the only Transfer-Encoding known here is chunked"))
    }

    /// Whether the connection closes after the response.
    pub(super) fn closes(&self) -> bool {
        let says = |token| {
            let values = self.headers.get_all(header::CONNECTION).iter();
            has_token(values.filter_map(|value| value.to_str().ok()), token)
        };
        says("close") || (self.version == Version::HTTP_10 && !says("keep-alive"))
    }

    /// Whether a body follows that is not read: ureq-proto reads none after a HEAD or a CONNECT.
    pub(super) fn has_unread_body(&self) -> bool {
        let length = self.headers.get(header::CONTENT_LENGTH);
        matches!(self.method, Method::HEAD | Method::CONNECT)
            && (length.is_some_and(|length| length != "0")
                || self.headers.contains_key(header::TRANSFER_ENCODING))
    }
}

/// Whether one of these lists has this token, in any case.
pub(super) fn has_token<'a>(lists: impl Iterator<Item = &'a str>, token: &str) -> bool {
    lists.flat_map(|list| list.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// `None` for a broken escape, or for bytes that are not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        // from_str_radix alone would take a sign.
        let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, target: &str) -> Request {
        Request { method, target: target.to_owned(), ..Request::unreadable() }
    }

    fn route(operation: Operation, id: &str, dialect: Option<Dialect>) -> Route {
        Route { operation, id: id.to_owned(), dialect }
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
            let expected = route(Operation::Issue, "8:acs:A_b", Some(Dialect::Present));
            assert_eq!(request(Method::POST, target).route(), Ok(expected), "{target}");
        }
        let created = route(Operation::Create, "", None);
        assert_eq!(request(Method::POST, "/IDENTITIES/").route(), Ok(created));
    }

    #[test]
    fn route_has_an_id_that_is_decoded_once_and_after_splitting() {
        let found = request(Method::DELETE, "/identities/a%2Fb%253A").route();
        assert_eq!(found, Ok(route(Operation::Delete, "a/b%3A", None)));
    }

    #[test]
    fn route_of_2020_is_known() {
        let first = Some(Dialect::First);
        let found = request(Method::POST, "/identities/8%3Aacs%3Aa/token").route();
        assert_eq!(found, Ok(route(Operation::Issue, "8:acs:a", first)));
        let found = request(Method::PATCH, "/identities/8:acs:a").route();
        assert_eq!(found, Ok(route(Operation::Revoke, "8:acs:a", first)));
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
            let found = request(Method::POST, target).route();
            assert_eq!(found, Err(Unrouted::UnknownPath), "{target}");
        }
        let found = request(Method::PUT, "/identities/8:acs:a").route();
        assert_eq!(found, Err(Unrouted::WrongMethod("DELETE, PATCH".to_owned())));
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
