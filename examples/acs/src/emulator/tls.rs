//! `--tls`: a certificate and the authority that signed it, both made for one run.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::failure::{Exit, Failure};

/// Names of the emulator in its certificate, whatever its address.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Some clients refuse certificates that last longer than 398 days.
const LIFE: Duration = Duration::from_secs(365 * DAY.as_secs());
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The first line of the authority's file: no other file is overwritten. PEM may begin with any text.
const TITLE: &str = "# The authority of acs emulator\n";

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// The server side of TLS, and the authority that clients have to trust.
pub(super) struct Tls {
    pub(super) authority_pem: String,
    config: Arc<ServerConfig>,
}

impl Tls {
    pub(super) fn new(names: Vec<String>) -> Result<Self, Failure> {
        Self::make(names)
            .map_err(|error| Failure::usage(format!("cannot make a certificate: {error}")))
    }

    fn make(names: Vec<String>) -> Result<Self, Box<dyn Error>> {
        let (authority, key) = (authority()?, KeyPair::generate()?);
        let names: Vec<String> = NAMES.map(str::to_owned).into_iter().chain(names).collect();
        let mut server = params(names, "acs-identity emulator")?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Required by Python from 3.13 on.
        server.use_authority_key_identifier_extension = true;
        let server = server.signed_by(&key, &authority)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], key)?;
        Ok(Self { authority_pem: authority.pem(), config: Arc::new(config) })
    }

    pub(super) fn acceptor(
        &self,
    ) -> impl Fn(TcpStream) -> io::Result<Stream> + Send + Sync + 'static {
        let config = Arc::clone(&self.config);
        move |socket| {
            let connection =
                ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            Ok(StreamOwned::new(connection, socket))
        }
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = params(Vec::new(), "acs-identity emulator, throw-away authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn params(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    // A day for clients whose clock is wrong.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = date_time_ymd(1970, 1, 1) + now - DAY;
    params.not_after = params.not_before + LIFE;
    Ok(params)
}

/// The certificate of the authority in a file, which is removed at the end.
pub(super) struct AuthorityFile {
    path: PathBuf,
    pem: String,
}

impl AuthorityFile {
    /// Writes the file. The default is the same for each run on this address, so that variables which
    /// name it stay right.
    pub(super) fn write(path: Option<PathBuf>, address: &str, pem: &str) -> Result<Self, Failure> {
        let name = address.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
        let path =
            path.unwrap_or_else(|| std::env::temp_dir().join(format!("acs-emulator-{name}.pem")));
        // Clients have a working directory of their own.
        let pem = format!("{TITLE}{pem}");
        let written = write(&path, &pem).and_then(|()| std::path::absolute(&path));
        let path = written.map_err(|error| {
            let advice = "choose a file with --tls-authority";
            let problem = format!("cannot write {}: {error}; {advice}", path.display());
            Failure::new(Exit::Service, problem)
        })?;
        Ok(Self { path, pem })
    }

    /// The variables by which Python's requests, Node, OpenSSL and others, and curl trust the file.
    pub(super) fn variables(&self) -> [(&'static str, String); 4] {
        ["REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "CURL_CA_BUNDLE"]
            .map(|name| (name, self.path.display().to_string()))
    }
}

impl Drop for AuthorityFile {
    fn drop(&mut self) {
        // The next run may have written its own already.
        if fs::read(&self.path).is_ok_and(|pem| pem == self.pem.as_bytes()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a new file that only its owner may write. An old one might be open elsewhere, or be a link.
fn write(path: &Path, pem: &str) -> io::Result<()> {
    let is_file = fs::symlink_metadata(path).is_ok_and(|old| old.is_file());
    if is_file && !fs::read(path)?.starts_with(TITLE.as_bytes()) {
        return Err(io::Error::other("it is not a file of acs emulator"));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    let mut file = options.open(path)?;
    // Whatever the umask says.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.write_all(pem.as_bytes())
}
