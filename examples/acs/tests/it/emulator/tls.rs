//! `--tls`.

use std::fs;
use std::path::PathBuf;

use acs_identity::ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::*;

/// The program with https, and the file that its clients have to trust.
struct Secure {
    program: Program,
    authority: PathBuf,
}

impl Secure {
    fn start(arguments: &[&str]) -> Self {
        let program = Program::started(emulator().arg("--bearer-token=t").args(arguments));
        let stdout = &program.stdout;
        let authority = stdout.next().strip_prefix("REQUESTS_CA_BUNDLE=").unwrap().to_owned();
        assert_eq!(stdout.next(), format!("NODE_EXTRA_CA_CERTS={authority}"));
        assert_eq!(stdout.next(), format!("SSL_CERT_FILE={authority}"));
        assert_eq!(stdout.next(), format!("CURL_CA_BUNDLE={authority}"));
        Self { program, authority: authority.into() }
    }

    fn connection_string(&self) -> &str {
        &self.program.connection_string
    }

    /// Asks by this name of the emulator; its status.
    fn create(&self, host: &str) -> u16 {
        let pem = fs::read(&self.authority).unwrap();
        let Some(Ok(PemItem::Certificate(root))) = parse_pem(&pem).next() else {
            panic!("{pem:?}")
        };
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build()
            .new_agent();
        let port =
            self.connection_string().rsplit_once("/;").unwrap().0.rsplit(':').next().unwrap();
        let url = format!("https://{host}:{port}/identities?api-version=2023-10-01");
        let request = agent.post(url).header("Authorization", "Bearer t");
        request.send_empty().unwrap().status().as_u16()
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.authority);
    }
}

#[test]
fn tls_has_a_certificate_for_this_machine() {
    let program = Secure::start(&["--tls"]);
    assert!(program.connection_string().starts_with("endpoint=https://127.0.0.1:"));
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(program.create(host), 201, "{host}");
        assert!(
            program.program.log.next().ends_with(" POST /identities?api-version=2023-10-01 -> 201")
        );
    }
    let pem = fs::read_to_string(&program.authority).unwrap();
    assert!(!pem.contains("PRIVATE KEY") && pem.matches("BEGIN").count() == 1, "{pem}");
}

#[cfg(unix)]
#[test]
fn tls_authority_may_be_written_by_its_owner_only() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = std::env::temp_dir().join(format!("acs-emulator-test-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (file, other) = (folder.join("ca.pem"), folder.join("other"));
    // What was there before is replaced, not followed.
    fs::write(&other, "kept").unwrap();
    symlink(&other, &file).unwrap();
    let file_argument = format!("--tls-authority={}", file.display());
    let program = Secure::start(&[&file_argument, "--tls-name", "emulator.test"]);
    assert_eq!(program.authority, file);
    assert!(program.connection_string().starts_with("endpoint=https://emulator.test:"));
    assert_eq!(program.create("localhost"), 201);
    assert_eq!(fs::symlink_metadata(&file).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_to_string(&other).unwrap(), "kept");

    let ended = run(emulator().arg(format!("--tls-authority={}", other.display())));
    let problem = "it is not a file of acs emulator; choose a file with --tls-authority";
    assert_eq!(ended.stderr, format!("acs: cannot write {}: {problem}\n", other.display()));
    assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
    let ended = run(emulator().arg(format!("--tls-authority={}", folder.display())));
    let stderr = &ended.stderr;
    assert!(stderr.starts_with(&format!("acs: cannot write {}: ", folder.display())));
    assert!(stderr.ends_with("; choose a file with --tls-authority\n"), "{stderr}");
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(1), ""));
    drop(program);
    fs::remove_dir_all(folder).unwrap();
}
