//! `likeness key`: tenants' access keys. Works beside a running server, which sees every change at its next look-up.

use clap::{Args, Subcommand};
use likeness_domain::Error;
use likeness_domain::ports::{Clock, CredentialStore, IdSource};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, Tenant, TenantId, TenantName, TimestampMs};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Outcome, Verdict, refused, terminal};
use crate::config::Config;
use crate::system::{SystemClock, SystemIds};

/// Access keys: one key pair opens one tenant's faces, in every dialect.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key, and its tenant if need be; the secret is shown this once
    Create(CreateArgs),
    /// List keys, without their secrets
    List(ListArgs),
    /// Refuse a key and every token made with it, until it is enabled again
    Disable(NamedArgs),
    /// Accept a disabled key again
    Enable(NamedArgs),
    /// Delete a key for good
    Delete(NamedArgs),
}

/// See [`Command::Create`].
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Whose faces the key opens
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// See [`Command::List`].
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this tenant's keys [default: everybody's]
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Names a key.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// Its id, as `likeness key list` shows it
    #[arg(value_name = "ACCESS_KEY_ID")]
    id: String,
}

/// Runs the command on the data folder of `config`.
pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    let credentials = crate::assemble::credentials(config.data()?)?;
    match command {
        Command::Create(args) => {
            let key = create(&*credentials, &TenantName::new(&args.tenant)?).await?;
            show_new(&key, args.json);
            Ok(Verdict::Done)
        }
        Command::List(args) => list(&*credentials, args).await,
        Command::Disable(args) => {
            let id = key_id(&args)?;
            report(credentials.set_key_enabled(id.clone(), false).await?, &id, "disabled")
        }
        Command::Enable(args) => {
            let id = key_id(&args)?;
            report(credentials.set_key_enabled(id.clone(), true).await?, &id, "enabled")
        }
        Command::Delete(args) => {
            let id = key_id(&args)?;
            report(credentials.delete_key(id.clone()).await?, &id, "deleted")
        }
    }
}

/// Makes a key for the tenant of that name, and the tenant if there is none.
pub(crate) async fn create(credentials: &dyn CredentialStore, tenant: &TenantName) -> Result<AccessKey, Error> {
    let (ids, now) = (SystemIds, SystemClock.now());
    let mut bits = [0; 16];
    ids.fill(&mut bits);
    let proposed = Tenant { id: TenantId::from_bits(u128::from_be_bytes(bits)), name: tenant.clone(), created_at: now };
    let tenant = credentials.ensure_tenant(proposed).await?;
    let key = AccessKey {
        id: AccessKeyId::new(&random_text(&ids, ID_ALPHABET, 20)).expect("the alphabet is lawful"),
        secret: Secret::new(&random_text(&ids, SECRET_ALPHABET, 40)).expect("the alphabet is lawful"),
        tenant,
        enabled: true,
        created_at: now,
    };
    credentials.add_key(key.clone()).await?;
    Ok(key)
}

/// Like the vendors' own: 20 characters of capitals and digits, 40 of letters and digits (238 bits).
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn random_text(ids: &dyn IdSource, alphabet: &[u8], n_chars: usize) -> String {
    // Bytes beyond the last whole multiple of the alphabet are thrown away, so that every letter is equally likely.
    let fair_end = 256 / alphabet.len() * alphabet.len();
    let mut text = String::with_capacity(n_chars);
    let mut byte = [0];
    while text.len() < n_chars {
        ids.fill(&mut byte);
        if usize::from(byte[0]) < fair_end {
            text.push(char::from(alphabet[usize::from(byte[0]) % alphabet.len()]));
        }
    }
    text
}

fn show_new(key: &AccessKey, as_json: bool) {
    let (tenant, project, id, secret) = (&key.tenant.name, key.tenant.id, &key.id, key.secret.reveal());
    if as_json {
        terminal::data(json!({
            "tenant": tenant.as_str(),
            "project_id": project.to_string(),
            "access_key_id": id.as_str(),
            "access_key_secret": secret,
        }));
        return;
    }
    terminal::data(format_args!("tenant             {tenant}"));
    terminal::data(format_args!("project id         {project}"));
    terminal::data(format_args!("access key id      {id}"));
    terminal::data(format_args!("access key secret  {secret}"));
    terminal::talk("the secret is not shown again");
}

async fn list(credentials: &dyn CredentialStore, args: ListArgs) -> Outcome {
    let tenants = match &args.tenant {
        Some(name) => {
            let name = TenantName::new(name)?;
            let tenant = credentials.tenant(name.clone()).await?;
            vec![tenant.ok_or_else(|| refused(format!("there is no tenant `{name}`")))?]
        }
        None => credentials.tenants().await?,
    };
    let mut keys = Vec::new();
    for tenant in tenants {
        keys.extend(credentials.keys(tenant.id).await?);
    }
    if args.json {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| {
                json!({
                    "tenant": key.tenant.name.as_str(),
                    "project_id": key.tenant.id.to_string(),
                    "access_key_id": key.id.as_str(),
                    "enabled": key.enabled,
                    "created_at": spell(key.created_at),
                })
            })
            .collect();
        terminal::data(json!({ "keys": keys }));
        return Ok(Verdict::Done);
    }
    let name_width = keys.iter().map(|key| key.tenant.name.as_str().len()).max().unwrap_or(0);
    for key in &keys {
        let state = if key.enabled { "enabled " } else { "disabled" };
        terminal::data(format_args!(
            "{:name_width$}  {}  {state}  {}",
            key.tenant.name.as_str(),
            key.id,
            spell(key.created_at)
        ));
    }
    if keys.is_empty() {
        terminal::talk("there is no key yet");
        terminal::talk("  hint: `likeness key create --tenant NAME` makes one");
    }
    Ok(Verdict::Done)
}

fn spell(time: TimestampMs) -> String {
    OffsetDateTime::from_unix_timestamp(time.0.div_euclid(1000))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} ms", time.0))
}

fn key_id(args: &NamedArgs) -> Result<AccessKeyId, Error> {
    AccessKeyId::new(&args.id)
        .ok_or_else(|| refused(format!("`{}` is not an access key id, expected 1 to 64 of A-Z a-z 0-9 _ -", args.id)))
}

fn report(found: bool, id: &AccessKeyId, done: &str) -> Outcome {
    if found {
        terminal::talk(format_args!("access key {id} is {done}"));
        return Ok(Verdict::Done);
    }
    terminal::talk(format_args!("there is no access key {id}"));
    Ok(Verdict::No)
}
