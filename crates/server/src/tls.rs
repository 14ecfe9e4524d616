//! TLS as a server: certificate and key from files, read again when they change, and client certificates if wanted.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use likeness_domain::settings::{Parsed, Unset, Word};
use likeness_domain::{Error, Result};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};
use x509_cert::der::Decode;

use crate::outcome::refused;

likeness_domain::settings! {
    /// The server's own TLS.
    pub(crate) struct Settings in "tls." {
        certificate: Option<PathBuf> = "", Unset(Parsed("a file")),
            "PEM file with the server's certificate and those between it and its authority; with it `listen` speaks TLS \
             only. Read again when it changes and on SIGHUP; by default none";
        key: Option<PathBuf> = "", Unset(Parsed("a file")),
            "PEM file with the private key of tls.certificate, which only the server's user may read; by default none";
        client_ca: Option<PathBuf> = "", Unset(Parsed("a file")),
            "PEM file with the authorities of client certificates; with it a client has to show one of theirs, besides its \
             access key; by default none";
        client_certificates: ClientCertificates = "required",
            Word(&[("required", ClientCertificates::Required), ("optional", ClientCertificates::Optional)]),
            "whether a client without a certificate is turned away where tls.client_ca is set: required or optional";
    }
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    /// No connection without one.
    Required,
    /// One that is shown has to be valid.
    Optional,
}

/// How often it is looked whether a file has changed.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The files and what was made of them.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    client_certificates: ClientCertificates,
    current: RwLock<Current>,
    seen: Mutex<Vec<Option<Stamp>>>,
}

/// What was made of the files.
struct Current {
    config: Arc<ServerConfig>,
    /// Of the server's own certificate; `None` if it cannot be read.
    validity: Option<Validity>,
}

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) begin: SystemTime,
    pub(crate) end: SystemTime,
}

impl Validity {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let x509_cert::time::Validity { not_before, not_after } =
            x509_cert::Certificate::from_der(certificate).ok()?.tbs_certificate.validity;
        let at = |time: x509_cert::time::Time| SystemTime::UNIX_EPOCH + time.to_unix_duration();
        Some(Self { begin: at(not_before), end: at(not_after) })
    }

    /// Whether it is valid at that time.
    pub(crate) fn holds(self, now: SystemTime) -> bool {
        (self.begin..=self.end).contains(&now)
    }
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_ns: i128,
}

impl Tls {
    /// Reads the files; `None` if no certificate is set. A refusal names the file and what is wrong with it.
    pub(crate) fn open(settings: &Settings) -> Result<Option<Arc<Self>>> {
        let (certificate, key) = match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (None, None) if settings.client_ca.is_some() => {
                return Err(refused(
                    "`tls.client_ca` is set without `tls.certificate` and `tls.key`, expected all three",
                ));
            }
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(refused("`tls.certificate` is set without `tls.key`, expected both")),
            (None, Some(_)) => return Err(refused("`tls.key` is set without `tls.certificate`, expected both")),
        };
        let (client_ca, client_certificates) = (settings.client_ca.clone(), settings.client_certificates);
        let files = [Some(&certificate), Some(&key), client_ca.as_ref()];
        // Before the files are read: a change in between is seen as one.
        let seen = files.into_iter().flatten().map(|path| stamp(path)).collect();
        let current = RwLock::new(read(&certificate, &key, client_ca.as_deref(), client_certificates)?);
        Ok(Some(Arc::new(Self { certificate, key, client_ca, client_certificates, current, seen: Mutex::new(seen) })))
    }

    /// What new connections get.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// How long the server's own certificate is valid; `None` if that cannot be read.
    pub(crate) fn validity(&self) -> Option<Validity> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).validity
    }

    /// Reads the files again if one has changed, or in any case if `always`. Whether new connections get others from now on;
    /// where the files cannot be used, or the new certificate is not valid now and the one before is, those read before stay.
    pub(crate) fn reload(&self, always: bool) -> Result<bool> {
        let files = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        let stamps: Vec<_> = files.into_iter().flatten().map(|path| stamp(path)).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !always && *seen == stamps {
            return Ok(false);
        }
        // Also where reading fails: the log says so once, not every few seconds.
        *seen = stamps;
        let new = read(&self.certificate, &self.key, self.client_ca.as_deref(), self.client_certificates)?;
        let now = SystemTime::now();
        let is_refused = |validity: Option<Validity>| validity.is_some_and(|validity| !validity.holds(now));
        if is_refused(new.validity) && !is_refused(self.validity()) {
            let path = self.certificate.display();
            let message = format!("the certificate in `tls.certificate` {path} has expired, or is not valid yet");
            return Err(refused(message).with_hint("clients would refuse it; put a valid one there, or set the clock"));
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Some(Stamp { inode: metadata.ino(), bytes: metadata.len(), modified_ns })
}

fn read(
    certificate: &Path,
    key: &Path,
    client_ca: Option<&Path>,
    client_certificates: ClientCertificates,
) -> Result<Current> {
    let certificates = certificates("tls.certificate", certificate)?;
    let validity = certificates.first().and_then(Validity::of);
    let private_key = pem_of(key).map_err(|error| error.to_string());
    let private_key = private_key
        .and_then(|pem| PrivateKeyDer::from_pem_slice(&pem).map_err(|error| error.to_string()))
        .map_err(|error| {
            refused(format!("cannot read `tls.key` {}: {error}", key.display())).with_hint(
                "expected a PEM file with a private key without a password, which the server's user may read",
            )
        })?;
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("cannot set TLS up", error))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in self::certificates("tls.client_ca", path)? {
                roots.add(authority).map_err(|error| {
                    refused(format!("`tls.client_ca` {} has a certificate that is of no use: {error}", path.display()))
                })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match client_certificates {
                ClientCertificates::Required => verifier,
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|error| refused(format!("`tls.client_ca` {} cannot be used: {error}", path.display())))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(certificates, private_key).map_err(|error| {
        let files = format!("`tls.certificate` {} and `tls.key` {}", certificate.display(), key.display());
        refused(format!("{files} cannot be used: {error}")).with_hint("the key has to be that of the first certificate")
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Current { config: Arc::new(config), validity })
}

/// The bytes of a PEM file, which is no longer than those are: a device may have no end.
fn pem_of(path: &Path) -> io::Result<Vec<u8>> {
    const BYTES_MAX: u64 = 1 << 20;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > BYTES_MAX {
        true => Err(io::Error::other(format!("it is longer than {BYTES_MAX} bytes"))),
        false => Ok(bytes),
    }
}

/// Every certificate of a PEM file, at least one.
fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |reason: String| {
        refused(format!("cannot read `{setting}` {}: {reason}", path.display()))
            .with_hint("expected a PEM file with `-----BEGIN CERTIFICATE-----`, which the server's user may read")
    };
    let pem = pem_of(path).map_err(|error| unreadable(error.to_string()))?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| unreadable(error.to_string()))?;
    if found.is_empty() {
        return Err(unreadable(io::Error::from(io::ErrorKind::InvalidData).to_string()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DER as PEM.
    fn pem(label: &str, der: &[u8]) -> String {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Files {
            let files = Files(tempfile::tempdir().unwrap());
            files.renew("first.example");
            files
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Another certificate with its key, in the same files.
        fn renew(&self, name: &str) {
            self.renew_for(name, 1975..4096);
        }

        /// One that is valid from the beginning of one year to that of another.
        fn renew_for(&self, name: &str, years: std::ops::Range<i32>) {
            let mut wanted = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            wanted.not_before = rcgen::date_time_ymd(years.start, 1, 1);
            wanted.not_after = rcgen::date_time_ymd(years.end, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let made = wanted.self_signed(&key).unwrap();
            fs::write(self.path("cert.pem"), pem("CERTIFICATE", made.der())).unwrap();
            fs::write(self.path("key.pem"), pem("PRIVATE KEY", key.serialized_der())).unwrap();
        }

        fn settings(&self) -> Settings {
            Settings {
                certificate: Some(self.path("cert.pem")),
                key: Some(self.path("key.pem")),
                client_ca: None,
                client_certificates: ClientCertificates::Required,
            }
        }
    }

    #[track_caller]
    fn check_refused(settings: &Settings, expected: &str) {
        let error = Tls::open(settings).err().expect("refused");
        assert!(error.message().contains(expected), "{}", error.message());
    }

    #[test]
    fn files_that_cannot_be_used_are_refused_by_name() {
        let files = Files::new();
        assert!(Tls::open(&files.settings()).unwrap().is_some());
        assert!(Tls::open(&Settings { certificate: None, key: None, ..files.settings() }).unwrap().is_none());
        check_refused(&Settings { key: None, ..files.settings() }, "`tls.certificate` is set without `tls.key`");
        check_refused(&Settings { certificate: None, ..files.settings() }, "`tls.key` is set without");
        let absent = files.path("absent.pem");
        check_refused(&Settings { certificate: Some(absent.clone()), ..files.settings() }, "absent.pem");
        check_refused(&Settings { key: Some(absent), ..files.settings() }, "cannot read `tls.key`");
        // The key where the certificate belongs.
        check_refused(&Settings { certificate: Some(files.path("key.pem")), ..files.settings() }, "`tls.certificate`");
        let other = Files::new();
        check_refused(&Settings { key: Some(other.path("key.pem")), ..files.settings() }, "cannot be used");
        let client_ca = Some(files.path("cert.pem"));
        assert!(Tls::open(&Settings { client_ca, ..files.settings() }).unwrap().is_some());
        check_refused(&Settings { client_ca: Some(files.path("key.pem")), ..files.settings() }, "`tls.client_ca`");
    }

    #[test]
    fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
        let files = Files::new();
        let tls = Tls::open(&files.settings()).unwrap().expect("set");
        let first = tls.config();
        assert!(!tls.reload(false).unwrap(), "nothing has changed");
        assert!(Arc::ptr_eq(&first, &tls.config()));
        files.renew("second.example");
        assert!(tls.reload(false).unwrap());
        let second = tls.config();
        assert!(!Arc::ptr_eq(&first, &second));
        fs::write(files.path("cert.pem"), "nonsense").unwrap();
        assert!(tls.reload(false).is_err());
        assert!(Arc::ptr_eq(&second, &tls.config()), "what was read before stays");
        assert!(!tls.reload(false).unwrap(), "it is said once");
        assert!(tls.reload(true).is_err());
    }

    #[test]
    fn a_certificate_that_is_not_valid_does_not_take_the_place_of_one_that_is() {
        let files = Files::new();
        let tls = Tls::open(&files.settings()).unwrap().expect("set");
        let first = tls.config();
        for years in [2001..2002, 4000..4001] {
            files.renew_for("second.example", years);
            let error = tls.reload(true).unwrap_err();
            assert!(error.message().contains("cert.pem has expired, or is not valid yet"), "{}", error.message());
            assert!(Arc::ptr_eq(&first, &tls.config()));
        }
        // With none that is valid the newest is as good as any, and a valid one is taken again.
        files.renew_for("third.example", 2001..2002);
        let tls = Tls::open(&files.settings()).unwrap().expect("set");
        files.renew_for("fourth.example", 2002..2003);
        assert!(tls.reload(true).unwrap());
        files.renew("fifth.example");
        assert!(tls.reload(true).unwrap() && tls.validity().unwrap().holds(SystemTime::now()));
    }
}
