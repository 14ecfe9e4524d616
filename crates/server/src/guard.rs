//! What a server looks at before it answers: whether its data folder is its own, that no memory dump is written, and what
//! whoever starts it should know.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use likeness_domain::Error;
use likeness_domain::ports::CredentialStore;
use rustix::process::{DumpableBehavior, Resource, Rlimit};

use crate::config::Config;
use crate::outcome::{failed, refused};

/// Rights of the group and of everybody else.
const OTHERS: u32 = 0o077;

/// Refuses a data folder that others may look into, unless the settings allow it. An empty one, as a new volume is, is made
/// private instead; one that does not exist yet will be.
pub(crate) fn check_data_folder(config: &Config) -> Result<(), Error> {
    check_folder(config, config.data()?)
}

/// The same for another folder that is to hold a library.
pub(crate) fn check_folder(config: &Config, path: &Path) -> Result<(), Error> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    let mode = metadata.permissions().mode() & 0o7777;
    if config.general.data_open_to_others || !metadata.is_dir() || mode & OTHERS == 0 {
        return Ok(());
    }
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if is_own && is_empty(path) && fs::set_permissions(path, fs::Permissions::from_mode(0o700)).is_ok() {
        return Ok(());
    }
    let shown = path.display();
    let message =
        format!("data folder `{shown}` is open to others (mode {mode:04o}), expected to be its owner's alone");
    Err(refused(message).with_hint(format!(
        "`chmod 700 {shown}`; where the rights of a volume cannot be changed, set `data_open_to_others` to true"
    )))
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Has the system write no memory dump of this process, which would hold templates, photographs and keys; that also keeps
/// other processes of the same user from looking into its memory.
pub(crate) fn forbid_memory_dumps() -> Result<(), Error> {
    let limit = Rlimit { current: Some(0), maximum: Some(0) };
    // The limit does not hold for programs that collect dumps, the other does.
    rustix::process::setrlimit(Resource::Core, limit)
        .and_then(|()| rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| failed(format!("memory dumps cannot be forbidden: {error}")))
}

/// What whoever starts a server should know, for the log.
pub(crate) async fn warnings(config: &Config, credentials: &dyn CredentialStore) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    warnings.extend(plain_http_warning(config).map(str::to_owned));
    if !has_key(credentials).await? {
        warnings.push(
            "there is no access key, so every call is refused; hint: `likeness key create --tenant NAME`, or start with \
             --quickstart"
                .to_owned(),
        );
    }
    if config.general.data_open_to_others {
        warnings.push("the data folder may be open to others, as `data_open_to_others` says".to_owned());
    }
    warnings.extend(config.wire.weaknesses().into_iter().map(str::to_owned));
    Ok(warnings)
}

/// A server that other machines reach over plain HTTP; one behind a proxy leaves TLS to that.
fn plain_http_warning(config: &Config) -> Option<&'static str> {
    let has_tls = config.tls.certificate.is_some() || config.listener.client_address_header.is_some();
    let is_open = !is_loopback(config.general.listen.ip());
    (is_open && !has_tls).then_some(
        "this server speaks plain HTTP and can be reached from other machines: passwords, keys and pictures are readable on \
         the way; hint: set `tls.certificate` and `tls.key`, or listen on 127.0.0.1 behind a proxy with TLS \
         (docs/security.md)",
    )
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

async fn has_key(credentials: &dyn CredentialStore) -> Result<bool, Error> {
    for tenant in credentials.tenants().await? {
        if !credentials.keys(tenant.id).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;

    #[test]
    fn plain_http_is_warned_of_where_others_reach_it_and_nothing_encrypts() {
        let plain = Config::from_raw(&RawConfig::defaults(None)).unwrap();
        let open = |change: &dyn Fn(&mut Config)| {
            let mut config = plain.clone();
            config.general.listen = "0.0.0.0:7080".parse().unwrap();
            change(&mut config);
            plain_http_warning(&config).is_some()
        };
        assert!(plain_http_warning(&plain).is_none(), "this machine alone reaches it");
        assert!(open(&|_| ()));
        assert!(!open(&|config| config.tls.certificate = Some("cert.pem".into())));
        assert!(!open(&|config| config.listener.client_address_header = Some("x-forwarded-for".parse().unwrap())));
        assert!(!open(&|config| config.general.listen = "[::ffff:127.0.0.1]:7080".parse().unwrap()));
    }
}
