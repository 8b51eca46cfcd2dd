//! The proxy that the environment names, read much as curl does.

use std::env;
use std::net::IpAddr;

use ureq::{Agent, Proxy, ProxyProtocol};

use crate::endpoint::Endpoint;
use crate::error::Error;

/// The proxy between the client and the service, for the texts of errors.
#[derive(Debug)]
pub(crate) struct ProxyInEffect {
    /// Names the variable; `None` for the proxy of the caller's agent.
    variable: Option<&'static str>,
    has_login: bool,
}

impl ProxyInEffect {
    /// Returns the proxy that an agent uses for an endpoint, if any, and the variable that it comes from.
    pub(super) fn of(
        agent: &Agent,
        endpoint: &Endpoint,
        variable: Option<&'static str>,
    ) -> Option<Self> {
        let proxy = agent.config().proxy()?;
        let is_exempt = endpoint.as_str().parse().is_ok_and(|uri| proxy.is_no_proxy(&uri));
        // ureq ignores a SOCKS proxy that the environment names, unless a feature is enabled.
        let is_http = matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
        if is_exempt || !is_http || !endpoint.is_https() {
            return None;
        }
        Some(Self { variable, has_login: proxy.username().is_some() })
    }

    pub(super) fn variable(&self) -> Option<&'static str> {
        self.variable
    }

    pub(super) fn unreachable(&self) -> String {
        self.check("the proxy, or the service through it, could not be reached")
    }

    pub(super) fn timed_out(&self) -> String {
        self.check("connecting to the proxy, or to the service through it, timed out")
    }

    fn check(&self, problem: &str) -> String {
        let (name, way_around) = (self.name(), self.way_around());
        format!("{problem}: check {name}, the endpoint and the network{way_around}")
    }

    /// The text for a proxy that did not connect to the service, but responded with this status.
    pub(super) fn refused(&self, status: &str) -> String {
        let (name, way_around) = (self.name(), self.way_around());
        match (status, self.has_login) {
            ("407", false) => format!(
                "the proxy requires a login (407): put its user name and password into the proxy's URL, in {name}{way_around}"
            ),
            ("407", true) => format!(
                "the proxy rejected the login (407): check the user name and password in {name}; a proxy that requires NTLM or Kerberos needs a local one in front of it, such as cntlm{way_around}"
            ),
            _ => {
                let status = if status.is_empty() { String::new() } else { format!(" ({status})") };
                format!(
                    "the proxy did not connect to the service{status}: check {name}, the endpoint and what the proxy allows{way_around}"
                )
            }
        }
    }

    fn name(&self) -> &'static str {
        self.variable.unwrap_or("the agent's proxy")
    }

    fn way_around(&self) -> &'static str {
        match self.variable {
            Some(_) => "; NO_PROXY exempts a host",
            None => "",
        }
    }
}

/// Returns the proxy for an endpoint and the variable that names it.
///
/// A proxy that cannot be used is an error only if it is the one that applies: ureq would silently connect
/// without it, or to another port.
pub(super) fn from_env(endpoint: &Endpoint) -> Result<Option<(Proxy, &'static str)>, Error> {
    // A proxy cannot reach this machine's loopback, and plain http must not leave it.
    if endpoint.is_loopback() {
        return Ok(None);
    }
    resolve(endpoint.host(), |name| {
        env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })
}

fn resolve(
    host: &str,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<(Proxy, &'static str)>, Error> {
    // An empty variable counts as unset.
    let first_set = |names: &[&'static str]| {
        names.iter().find_map(|name| {
            let value = variable(name)?;
            let value = value.trim();
            (!value.is_empty()).then(|| (value.to_owned(), *name))
        })
    };
    // HTTP_PROXY is not for https.
    let Some((url, name)) = first_set(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
    else {
        return Ok(None);
    };
    let exempt = first_set(&["no_proxy", "NO_PROXY"]);
    if exempt.is_some_and(|(list, _)| is_exempt(host, &list)) {
        return Ok(None);
    }
    // Without the value, which may hold a password.
    let proxy = parse(&url).map_err(|why| {
        Error::invalid_input(format!(
            "{name} {why}: correct or unset it, or exempt the host with NO_PROXY"
        ))
    })?;
    Ok(Some((proxy, name)))
}

fn parse(url: &str) -> Result<Proxy, &'static str> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => {}
        scheme if scheme.starts_with("socks") => {
            return Err("names a SOCKS proxy, which the client does not support");
        }
        _ => return Err("does not name an http or https proxy"),
    }
    let (login, host_and_port) = match rest.rsplit_once('@') {
        Some((login, rest)) => (login, rest),
        None => ("", rest),
    };
    // What follows the host has no meaning for a proxy. Without a scheme, it may be one with a typing error.
    let (host_and_port, path) =
        host_and_port.split_once(['/', '?', '#']).unwrap_or((host_and_port, ""));
    if !path.is_empty() && !url.contains("://") {
        return Err("does not name an http or https proxy");
    }
    if login.contains(|c: char| !c.is_ascii_graphic() || "/?#[]@\\^`{|}<>\"".contains(c)) {
        return Err(
            "has a character in its user name or password that must be percent-encoded (such as %5C for a backslash, %23 for #, %2F for /, %40 for @)",
        );
    }
    let port = host_and_port.rsplit_once(':').filter(|(host, _)| {
        // The colons of an IPv6 address stand within brackets.
        !host.contains(':') || host.ends_with(']')
    });
    let is_valid = |port: &str| !port.starts_with('+') && matches!(port.parse::<u16>(), Ok(1..));
    if port.is_some_and(|(_, port)| !is_valid(port)) {
        return Err("has an invalid port");
    }
    let separator = if login.is_empty() { "" } else { "@" };
    let proxy = Proxy::new(&[scheme, "://", login, separator, host_and_port].concat()).ok();
    proxy.filter(|proxy| !proxy.host().is_empty()).ok_or("does not name an http or https proxy")
}

/// Whether a list such as `localhost, .example.com:8080` names this host, which may have a port.
fn is_exempt(host: &str, list: &str) -> bool {
    let (name, port) = split_port(host);
    list.split([',', ' ', '\t']).any(|entry| {
        if entry == "*" {
            return true;
        }
        let (entry, entry_port) = split_port(entry);
        let entry = entry.strip_prefix('*').unwrap_or(entry).trim_matches('.');
        let matches_port = entry_port.is_none_or(|it| it == port.unwrap_or("443"));
        !entry.is_empty() && matches_port && is_within(name, entry)
    })
}

/// Whether it is this name or one below it, in any case.
fn is_within(name: &str, parent: &str) -> bool {
    let at = name.len().checked_sub(parent.len());
    let Some((below, end)) = at.and_then(|at| name.split_at_checked(at)) else { return false };
    let is_below = below.is_empty() || below.ends_with('.') && name.parse::<IpAddr>().is_err();
    is_below && end.eq_ignore_ascii_case(parent)
}

/// Splits a host from its port, and takes the brackets off an IPv6 address.
fn split_port(host: &str) -> (&str, Option<&str>) {
    if host.parse::<IpAddr>().is_ok() {
        return (host, None);
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(port)),
        _ => (host, None),
    };
    (name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "contoso.communication.azure.com";

    /// The variable that applies, with these variables set.
    fn applies(host: &str, set: &[(&str, &str)]) -> Result<Option<&'static str>, String> {
        let value = |name| set.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
        let proxy = resolve(host, value).map_err(|error| error.to_string())?;
        Ok(proxy.map(|(_, variable)| variable))
    }

    #[test]
    fn proxy_variables_have_the_precedence_of_curl() {
        const PROXY: &str = "http://proxy.example.com:3128";
        const SOCKS: &str = "socks5://proxy.example.com:1080";
        for (set, expected) in [
            (&[][..], None),
            (&[("HTTPS_PROXY", PROXY)], Some("HTTPS_PROXY")),
            (&[("https_proxy", PROXY), ("HTTPS_PROXY", PROXY)], Some("https_proxy")),
            (&[("https_proxy", ""), ("HTTPS_PROXY", PROXY)], Some("HTTPS_PROXY")),
            (&[("HTTPS_PROXY", " "), ("ALL_PROXY", PROXY)], Some("ALL_PROXY")),
            (&[("all_proxy", PROXY), ("ALL_PROXY", SOCKS)], Some("all_proxy")),
            // The usual trio of desktop settings.
            (
                &[("HTTPS_PROXY", PROXY), ("HTTP_PROXY", PROXY), ("ALL_PROXY", SOCKS)],
                Some("HTTPS_PROXY"),
            ),
            (&[("HTTP_PROXY", PROXY), ("http_proxy", PROXY)], None),
            (&[("HTTP_PROXY", "nonsense://")], None),
        ] {
            assert_eq!(applies(HOST, set), Ok(expected), "{set:?}");
        }
        assert!(applies(HOST, &[("ALL_PROXY", SOCKS)]).unwrap_err().starts_with("ALL_PROXY "));
    }

    #[test]
    fn proxy_of_an_agent_is_in_effect_if_it_speaks_http() {
        let in_effect = |url, endpoint: &str| {
            let proxy = Proxy::new(url).unwrap();
            let agent = Agent::config_builder().proxy(Some(proxy)).build().new_agent();
            ProxyInEffect::of(&agent, &endpoint.parse().unwrap(), None).is_some()
        };
        assert!(in_effect("http://127.0.0.1:9", "https://contoso.communication.azure.com"));
        assert!(!in_effect("socks5://127.0.0.1:9", "https://contoso.communication.azure.com"));
        assert!(!in_effect("http://127.0.0.1:9", "http://localhost"));
    }

    #[test]
    fn no_proxy_exempts_a_host_and_all_below_it() {
        for (list, exempts) in [
            (HOST, true),
            ("communication.azure.com", true),
            (".communication.azure.com", true),
            ("*.communication.azure.com", true),
            ("azure.com", true),
            ("AZURE.COM", true),
            ("localhost, contoso.communication.azure.com", true),
            ("localhost ,\tazure.com ,", true),
            ("localhost azure.com", true),
            ("azure.com.", true),
            ("azure.com:443", true),
            ("contoso.communication.azure.com:443", true),
            ("*", true),
            ("localhost,*", true),
            ("azure.com:8443", false),
            ("zure.com", false),
            ("fabrikam.communication.azure.com", false),
            ("x.contoso.communication.azure.com", false),
            ("localhost,127.0.0.1", false),
            ("", false),
            (",", false),
            (".", false),
        ] {
            assert_eq!(is_exempt(HOST, list), exempts, "{list}");
        }
        for (host, list, exempts) in [
            ("contoso.example.com:8443", "example.com:8443", true),
            ("contoso.example.com:8443", "example.com", true),
            ("contoso.example.com:8443", "example.com:443", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("110.0.0.1", "10.0.0.1", false),
            ("1.10.0.0", "10.0.0", false),
            ("10.0.0.1", "0.0.1", false),
            ("[2001:db8::1]:8443", "2001:db8::1", true),
            ("[2001:db8::1]", "2001:db8::1", true),
            ("[2001:db8::1]", "[2001:db8::1]", true),
            ("[2001:db8::1]", "[2001:db8::1]:8443", false),
        ] {
            assert_eq!(is_exempt(host, list), exempts, "{host} {list}");
        }
    }

    #[test]
    fn no_proxy_that_is_empty_does_not_hide_the_other_spelling() {
        for (one, other) in [("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")] {
            let proxy = ("HTTPS_PROXY", "http://proxy.example.com:3128");
            let set = [proxy, (one, ""), (other, "azure.com")];
            assert_eq!(applies(HOST, &set), Ok(None), "{one}");
        }
        // A proxy that cannot be used does not matter for a host that is exempt.
        let set = [("HTTPS_PROXY", "socks5://proxy.example.com"), ("NO_PROXY", HOST)];
        assert_eq!(applies(HOST, &set), Ok(None));
    }

    #[test]
    fn proxy_urls_that_cannot_be_used_are_rejected_with_the_reason() {
        const ENCODE: &str =
            "HTTPS_PROXY has a character in its user name or password that must be percent-encoded";
        const SOCKS: &str = "HTTPS_PROXY names a SOCKS proxy, which the client does not support: correct or unset it";
        const OTHER: &str = "HTTPS_PROXY does not name an http or https proxy: correct or unset it";
        const PORT: &str = "HTTPS_PROXY has an invalid port: correct or unset it";
        for (url, expected) in [
            ("http://proxy.example.com:3128", None),
            ("http://proxy.example.com:3128/", None),
            ("http://user:pw@proxy.example.com:3128/path?query#fragment", None),
            ("HTTPS://user:pass%23word@proxy.example.com", None),
            ("http://DOM%5Cuser:pw@proxy:3128", None),
            ("proxy.example.com:8080", None),
            ("user:pw@proxy.example.com:8080", None),
            ("http://[::1]", None),
            ("http://[::1]:65535", None),
            (r"http://DOM\user:pw@proxy:3128", Some(ENCODE)),
            ("http://user:p#w@proxy:3128", Some(ENCODE)),
            ("http://user:p/w@proxy:3128", Some(ENCODE)),
            ("http://user:p w@proxy:3128", Some(ENCODE)),
            ("http://user:p@w@proxy:3128", Some(ENCODE)),
            ("http://user:p\u{e9}@proxy:3128", Some(ENCODE)),
            ("socks5://proxy.example.com", Some(SOCKS)),
            ("socks4a://proxy.example.com", Some(SOCKS)),
            ("ftp://proxy.example.com", Some(OTHER)),
            ("http//proxy.example.com:3128", Some(OTHER)),
            ("http:/proxy.example.com:3128", Some(OTHER)),
            ("http://", Some(OTHER)),
            ("http://user:password@:3128", Some(OTHER)),
            ("http://proxy.example.com:65536", Some(PORT)),
            ("http://user:password@proxy.example.com:8o80", Some(PORT)),
            ("proxy.example.com:port", Some(PORT)),
            ("http://proxy.example.com:", Some(PORT)),
            ("http://proxy.example.com:+80", Some(PORT)),
            ("http://proxy.example.com:0", Some(PORT)),
        ] {
            let result = applies(HOST, &[("HTTPS_PROXY", url)]);
            match (result, expected) {
                (Ok(Some("HTTPS_PROXY")), None) => {}
                (Err(text), Some(expected)) => assert!(text.starts_with(expected), "{url}: {text}"),
                (result, _) => panic!("{url}: {result:?}"),
            }
        }
    }
}
