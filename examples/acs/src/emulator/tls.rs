//! `--tls`: a certificate that an authority signed, both made on the spot and never used again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
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

/// Names of the emulator in its certificate, whatever its address.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Some clients refuse certificates that last longer than 398 days.
const LIFE: Duration = Duration::from_secs(365 * DAY.as_secs());
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// A server's side of TLS, and the authority that its clients have to trust.
pub(super) struct Tls {
    pub(super) authority_pem: String,
    config: Arc<ServerConfig>,
}

impl Tls {
    pub(super) fn new(names: Vec<String>) -> Result<Self, String> {
        let made =
            |error: &dyn ToString| format!("cannot make a certificate: {}", error.to_string());
        let authority = authority().map_err(|error| made(&error))?;
        let key = KeyPair::generate().map_err(|error| made(&error))?;
        let names: Vec<String> = NAMES.map(str::to_owned).into_iter().chain(names).collect();
        let mut server = params(names, "acs-identity emulator").map_err(|error| made(&error))?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Python from 3.13 on insists on it.
        server.use_authority_key_identifier_extension = true;
        let server = server.signed_by(&key, &authority).map_err(|error| made(&error))?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| made(&error))?
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], key)
            .map_err(|error| made(&error))?;
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

/// The same file for each run on this address, so that the variables that name it can stay.
pub(super) fn default_file(address: &str) -> PathBuf {
    let name = address.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    std::env::temp_dir().join(format!("acs-emulator-{name}.pem"))
}

/// Writes a new file that its owner alone may write, whatever was there before: others might hold
/// an old one open, or have put a link in its place.
pub(super) fn write(path: &Path, pem: &str) -> io::Result<()> {
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

/// The variables by which Python with requests, Node, and OpenSSL with its likes trust the file.
pub(super) fn settings(file: &Path) -> String {
    let file = file.display();
    format!("REQUESTS_CA_BUNDLE={file}\nNODE_EXTRA_CA_CERTS={file}\nSSL_CERT_FILE={file}\n")
}
