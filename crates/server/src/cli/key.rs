//! `likeness key`: tenants' access keys. Works beside a running server, which sees every change at its next look-up.

use std::time::Duration;

use clap::{Args, Subcommand};
use likeness_domain::access::{Caller, FaceSetScope, Grants};
use likeness_domain::library::{fresh_key_id, fresh_secret, require_lawful};
use likeness_domain::ports::{Clock, CredentialStore, IdSource};
use likeness_domain::types::{
    AccessKey, AccessKeyId, Actor, FaceSetId, FaceSetName, Note, Tenant, TenantId, TenantName, TimestampMs,
    require_path_segment,
};
use likeness_domain::{Error, Kind, limits};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::connection::existing_library;
use super::deed::Deed;
use super::{offered, terminal};
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, refused};
use crate::system::{SystemClock, SystemIds};

/// Access keys: one key pair opens one tenant's faces, in every dialect.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key, and its tenant if need be; the secret is shown this once
    #[command(
        after_help = "Example: likeness key create --tenant acme --grant read,search --set staff --expires 90d --label 'door 3'"
    )]
    Create(CreateArgs),
    /// List keys, without their secrets
    #[command(after_help = "Example: likeness key list --tenant acme --json")]
    List(ListArgs),
    /// Show one key, without its secret
    #[command(after_help = "Example: likeness key show ABCDEFGHIJ0123456789 --json")]
    Show(OneKeyArgs),
    /// Refuse a key and every token made with it, until it is enabled again; sessions of browsers end for good
    #[command(after_help = "Example: likeness key disable ABCDEFGHIJ0123456789")]
    Disable(OneKeyArgs),
    /// Accept a disabled key again
    #[command(after_help = "Example: likeness key enable ABCDEFGHIJ0123456789")]
    Enable(OneKeyArgs),
    /// Give a key a new secret, shown this once; the old one is accepted for a while longer
    #[command(after_help = "Example: likeness key rotate ABCDEFGHIJ0123456789 --overlap 24h")]
    Rotate(RotateArgs),
    /// Delete a key for good
    #[command(after_help = "Example: likeness key delete ABCDEFGHIJ0123456789 --yes")]
    Delete(DeleteArgs),
}

/// See [`Command::Create`].
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Whose faces the key opens [default: LIKENESS_TENANT]
    #[arg(long, value_name = "NAME", env = "LIKENESS_TENANT", hide_env = true, required_unless_present = "operator")]
    tenant: Option<String>,
    /// A key that makes, limits and deletes tenants through the API and opens no faces
    #[arg(long, conflicts_with_all = ["grants", "face_sets"])]
    operator: bool,
    /// What it may do: some of read, search, enrol, delete, manage, templates, between commas [default: all but templates]
    #[arg(long = "grant", value_name = "GRANTS", value_parser = offered::GRANTS, hide_possible_values = true)]
    grants: Option<String>,
    /// Only with this face set, which must exist; can be repeated [default: every face set]
    #[arg(long = "set", value_name = "NAME")]
    face_sets: Vec<String>,
    /// Refuse it after this time, as in 90d, 12h, 30m or 45s [default: never]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    expires: Option<String>,
    /// What people call it
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// See [`Command::Rotate`].
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    which: NamedArgs,
    /// How long the old secret is accepted beside the new one, as in 24h or 30m; 0s for not at all
    #[arg(long, value_name = "TIME", default_value = "24h", allow_hyphen_values = true)]
    overlap: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// See [`Command::List`].
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this tenant's keys [default: LIKENESS_TENANT, else everybody's]
    #[arg(long, value_name = "NAME", env = "LIKENESS_TENANT", hide_env = true)]
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

/// See [`Command::Disable`].
#[derive(Debug, Args)]
pub(crate) struct OneKeyArgs {
    #[command(flatten)]
    which: NamedArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// See [`Command::Delete`].
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    key: OneKeyArgs,
    /// Do not ask at a terminal; without one nothing is asked
    #[arg(long)]
    yes: bool,
}

/// What a new key is to be.
pub(crate) struct Wanted {
    grants: Option<Grants>,
    face_sets: Vec<FaceSetName>,
    lifetime: Option<Duration>,
    label: Option<Note>,
}

impl Wanted {
    /// May do everything, for ever.
    pub(crate) const EVERYTHING: Wanted = Wanted { grants: None, face_sets: Vec::new(), lifetime: None, label: None };

    fn read(args: &CreateArgs) -> Result<Self, Error> {
        Ok(Self {
            grants: match args.operator {
                true => Some(Grants::OPERATOR),
                false => args.grants.as_deref().map(Grants::parse).transpose()?,
            },
            face_sets: args.face_sets.iter().map(FaceSetName::new).collect::<Result<_, _>>()?,
            lifetime: args.expires.as_deref().map(lifetime).transpose()?,
            label: args.label.as_deref().map(label).transpose()?.flatten(),
        })
    }
}

/// What people call a key; `None` for an empty label.
fn label(text: &str) -> Result<Option<Note>, Error> {
    let most = limits::KEY_LABEL_CHARS_MAX;
    let n_chars = text.chars().count();
    if n_chars > most {
        return Err(refused(format!("`--label` has {n_chars} characters, expected at most {most}")));
    }
    if text.chars().any(char::is_control) {
        return Err(refused("`--label` has a control character, expected one line of printable text"));
    }
    let label = Note::new(text).map_err(|error| refused(error.message().replacen("`note`", "`--label`", 1)))?;
    Ok(Some(label).filter(|label| !label.as_str().trim().is_empty()))
}

/// The life of a key, which ends after it was made and within our time.
fn lifetime(text: &str) -> Result<Duration, Error> {
    let lifetime = time_span("--expires", text)?;
    if lifetime.is_zero() || lifetime > limits::KEY_LIFETIME_MAX {
        let most = limits::KEY_LIFETIME_MAX.as_secs() / (24 * 60 * 60);
        return Err(refused(format!("`--expires` is `{text}`, expected 1s to {most}d")));
    }
    Ok(lifetime)
}

/// A time as people write it: a number and `s`, `m`, `h` or `d`.
fn time_span(flag: &str, text: &str) -> Result<Duration, Error> {
    let wrong = || refused(format!("`{flag}` is `{text}`, expected a number and a unit, as in 90d, 12h, 30m or 45s"));
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    // One that no number holds is longer than whatever may be asked for.
    let number: u64 = digits.parse().unwrap_or(u64::MAX);
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

fn after(now: TimestampMs, span: Duration) -> TimestampMs {
    TimestampMs(now.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

/// The person at the command line, as it is kept with what was changed.
pub(super) fn actor(tenant: TenantId) -> Actor {
    Caller::server(tenant, "command-line").actor()
}

/// Runs the command on the data folder of `config`.
pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    if !matches!(command, Command::Create(_)) {
        existing_library(config)?;
    }
    let credentials = crate::assemble::credentials(config)?;
    match command {
        Command::Create(args) => {
            let wanted = Wanted::read(&args)?;
            // The variable may name a tenant whatever is made.
            let given =
                args.tenant.as_deref().filter(|given| std::env::var("LIKENESS_TENANT").as_deref() != Ok(*given));
            if let Some(given) = given.filter(|given| args.operator && *given != TenantName::OF_OPERATORS) {
                let message =
                    format!("`--tenant` is `{given}`, and a key with `--operator` is of no tenant that has faces");
                return Err(refused(message).with_hint("leave one of the two out"));
            }
            let named = args.tenant.as_deref().filter(|_| !args.operator).unwrap_or(TenantName::OF_OPERATORS);
            let tenant = TenantName::new(named)?;
            if let Some(Err(error)) = wanted.grants.map(|grants| require_lawful(grants, &tenant)) {
                return Err(error.with_hint("`likeness key create --operator` makes an operator's key"));
            }
            let key = create(&*credentials, &tenant, wanted).await?;
            show_new(&key, args.json);
            Ok(Verdict::Done)
        }
        Command::List(args) => list(&*credentials, args).await,
        Command::Show(args) => show(&*credentials, args).await,
        Command::Disable(args) => {
            let (id, actor) = known(&*credentials, &args.which).await?;
            report(credentials.set_key_enabled(actor, id.clone(), false).await?, &id, "disabled", args.json)
        }
        Command::Enable(args) => {
            let (id, actor) = known(&*credentials, &args.which).await?;
            let verdict =
                report(credentials.set_key_enabled(actor, id.clone(), true).await?, &id, "enabled", args.json);
            if !args.json
                && let Some(key) = credentials.key(id).await?
            {
                say_if_refused(&key);
            }
            verdict
        }
        Command::Rotate(args) => rotate(&*credentials, args).await,
        Command::Delete(args) => {
            let DeleteArgs { key, yes } = args;
            let (id, actor) = known(&*credentials, &key.which).await?;
            if !Deed::DeleteKey(id.as_str()).is_confirmed(yes)? {
                return Ok(Verdict::No);
            }
            report(credentials.delete_key(actor, id.clone()).await?, &id, "deleted", key.json)
        }
    }
}

/// The id that was given, and in whose name its key is changed.
async fn known(credentials: &dyn CredentialStore, args: &NamedArgs) -> Result<(AccessKeyId, Actor), Error> {
    let key = existing(credentials, args).await?;
    Ok((key.id, actor(key.tenant.id)))
}

async fn existing(credentials: &dyn CredentialStore, args: &NamedArgs) -> Result<AccessKey, Error> {
    let id = key_id(args)?;
    credentials.key(id.clone()).await?.ok_or_else(|| no_key(&id))
}

fn no_key(id: &AccessKeyId) -> Error {
    Error::new(Kind::KeyNotFound, format!("there is no access key {id}"))
        .with_hint("`likeness key list` shows the keys")
}

async fn rotate(credentials: &dyn CredentialStore, args: RotateArgs) -> Outcome {
    let overlap = time_span("--overlap", &args.overlap)?;
    if overlap > limits::KEY_OVERLAP_MAX {
        let most = limits::KEY_OVERLAP_MAX.as_secs() / (24 * 60 * 60);
        return Err(refused(format!("`--overlap` is `{}`, expected 0s to {most}d", args.overlap)));
    }
    let (id, actor) = known(credentials, &args.which).await?;
    let secret = fresh_secret(&SystemIds);
    let old_valid_until = after(SystemClock.now(), overlap);
    if !credentials.rotate_key(actor, id.clone(), secret, old_valid_until).await? {
        return Err(no_key(&id));
    }
    if let Some(key) = credentials.key(id.clone()).await? {
        show_new(&key, args.json);
        if !args.json {
            if key.is_usable(SystemClock.now()) {
                let until = key.expires_at.map_or(old_valid_until, |end| end.min(old_valid_until));
                terminal::message(format_args!("the old secret is accepted until {}", spell(until)));
            }
            say_if_refused(&key);
        }
    }
    Ok(Verdict::Done)
}

/// Says so if a key is refused whatever its secret.
fn say_if_refused(key: &AccessKey) {
    let now = SystemClock.now();
    if let Some(end) = key.expires_at.filter(|end| *end <= now) {
        terminal::message(format_args!("the key is refused all the same: it expired at {}", spell(end)));
        terminal::message("  hint: `likeness key create` makes another one");
    } else if !key.enabled {
        terminal::message("the key is refused all the same: it is disabled");
        terminal::message(format_args!("  hint: `likeness key enable {}`", key.id));
    }
}

/// Makes a key for the tenant of that name, and the tenant if there is none.
pub(crate) async fn create(
    credentials: &dyn CredentialStore,
    tenant: &TenantName,
    wanted: Wanted,
) -> Result<AccessKey, Error> {
    let (ids, now) = (SystemIds, SystemClock.now());
    if credentials.tenant(tenant.clone()).await?.is_none() {
        require_path_segment("tenant", tenant.as_str())?;
        if !wanted.face_sets.is_empty() {
            return Err(refused(format!("there is no tenant `{tenant}`, so it has no face sets yet")));
        }
    }
    let mut bits = [0; 16];
    ids.fill(&mut bits);
    let id = TenantId::from_bits(u128::from_be_bytes(bits));
    let tenant = credentials.ensure_tenant(actor(id), Tenant::new(id, tenant.clone(), now)).await?;
    let face_sets = match wanted.face_sets.is_empty() {
        true => FaceSetScope::All,
        false => {
            let known = credentials.face_set_names(tenant.id).await?;
            let find = |name: &FaceSetName| {
                let found = known.iter().find(|(_, other)| other == name).map(|&(id, _)| id);
                found.ok_or_else(|| {
                    Error::new(Kind::FaceSetNotFound, format!("face set `{name}` does not exist")).with_hint(
                        "`likeness face-set list` shows the face sets; a key can be limited to existing ones",
                    )
                })
            };
            let mut ids = Vec::with_capacity(wanted.face_sets.len());
            for name in &wanted.face_sets {
                let id = find(name)?;
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            FaceSetScope::Only(ids.into())
        }
    };
    let id = fresh_key_id(&ids);
    let tenant_id = tenant.id;
    let key = AccessKey {
        grants: wanted.grants.unwrap_or(Grants::USUAL),
        face_sets,
        label: wanted.label,
        expires_at: wanted.lifetime.map(|lifetime| after(now, lifetime)),
        ..AccessKey::new(id, fresh_secret(&SystemIds), tenant, now)
    };
    credentials.add_key(actor(tenant_id), key.clone()).await?;
    Ok(key)
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
    terminal::message("the secret is not shown again");
}

async fn list(credentials: &dyn CredentialStore, args: ListArgs) -> Outcome {
    // An empty variable counts as unset.
    let tenants = match args.tenant.as_ref().filter(|name| !name.is_empty()) {
        Some(name) => {
            let name = TenantName::new(name)?;
            let tenant = credentials.tenant(name.clone()).await?;
            let missing = || Error::new(Kind::TenantNotFound, format!("there is no tenant `{name}`"));
            vec![tenant.ok_or_else(missing)?]
        }
        None => credentials.tenants().await?,
    };
    let mut keys = Vec::new();
    let mut names = Vec::new();
    for tenant in tenants {
        keys.extend(credentials.keys(tenant.id).await?);
        names.extend(credentials.face_set_names(tenant.id).await?);
    }
    if args.json {
        let keys: Vec<_> = keys.iter().map(|key| described(key, &names)).collect();
        terminal::data(json!({ "keys": keys }));
        return Ok(Verdict::Done);
    }
    let name_width = keys.iter().map(|key| key.tenant.name.as_str().len()).max().unwrap_or(0);
    for key in &keys {
        terminal::data(format_args!(
            "{:name_width$}  {}  {:<8}  {}{}",
            key.tenant.name.as_str(),
            key.id,
            state(key),
            spell(key.created_at),
            details(key, &names)
        ));
    }
    if keys.is_empty() {
        terminal::message("there is no key yet");
        terminal::message("  hint: `likeness key create --tenant NAME` makes one");
    }
    Ok(Verdict::Done)
}

async fn show(credentials: &dyn CredentialStore, args: OneKeyArgs) -> Outcome {
    let key = existing(credentials, &args.which).await?;
    let names = credentials.face_set_names(key.tenant.id).await?;
    if args.json {
        terminal::data(described(&key, &names));
        return Ok(Verdict::Done);
    }
    let line = |name: &str, value: &str| terminal::data(format_args!("{name:<12}  {value}"));
    line("id", key.id.as_str());
    line("tenant", key.tenant.name.as_str());
    if let Some(label) = &key.label {
        line("label", label.as_str());
    }
    line("state", state(&key));
    line("grants", &key.grants.iter().map(|grant| grant.word()).collect::<Vec<_>>().join(", "));
    line("face sets", &face_set_names(&key, &names).map_or("all".to_owned(), |names| names.join(", ")));
    line("made", &spell(key.created_at));
    let old_secret = key.previous.as_ref().map(|previous| previous.valid_until);
    for (name, at) in [("expires", key.expires_at), ("last used", key.last_used_at), ("old secret", old_secret)] {
        if let Some(at) = at {
            line(name, &spell(at));
        }
    }
    Ok(Verdict::Done)
}

/// A key as JSON.
fn described(key: &AccessKey, names: &[(FaceSetId, FaceSetName)]) -> serde_json::Value {
    let time = |at: Option<TimestampMs>| at.map(spell);
    json!({
        "tenant": key.tenant.name.as_str(),
        "project_id": key.tenant.id.to_string(),
        "access_key_id": key.id.as_str(),
        "enabled": key.enabled,
        "created_at": spell(key.created_at),
        "label": key.label.as_ref().map(Note::as_str),
        "grants": key.grants.iter().map(|grant| grant.word()).collect::<Vec<_>>(),
        "face_sets": face_set_names(key, names),
        "expires_at": time(key.expires_at),
        "last_used_at": time(key.last_used_at),
        "old_secret_valid_until": time(key.previous.as_ref().map(|previous| previous.valid_until)),
    })
}

fn state(key: &AccessKey) -> &'static str {
    match (key.enabled, key.is_usable(SystemClock.now())) {
        (false, _) => "disabled",
        (true, false) => "expired",
        (true, true) => "enabled",
    }
}

/// The names of the face sets that a key is for; `None` for all of them. One that was deleted has no name any more.
fn face_set_names(key: &AccessKey, names: &[(FaceSetId, FaceSetName)]) -> Option<Vec<String>> {
    let FaceSetScope::Only(face_sets) = &key.face_sets else { return None };
    let name = |id: &FaceSetId| names.iter().find(|(other, _)| other == id).map(|(_, name)| name.to_string());
    Some(face_sets.iter().map(|id| name(id).unwrap_or_else(|| "(deleted)".to_owned())).collect())
}

/// What sets a key apart from one that may do everything and was never used.
fn details(key: &AccessKey, names: &[(FaceSetId, FaceSetName)]) -> String {
    let mut details = String::new();
    if key.grants != Grants::USUAL {
        details += &format!("  may {}", key.grants);
    }
    if let Some(names) = face_set_names(key, names) {
        details += &format!("  sets {}", names.join(","));
    }
    if let Some(at) = key.expires_at {
        details += &format!("  expires {}", spell(at));
    }
    if let Some(at) = key.last_used_at {
        details += &format!("  used {}", spell(at));
    }
    if let Some(label) = &key.label {
        details += &format!("  {:?}", label.as_str());
    }
    details
}

pub(super) fn spell(time: TimestampMs) -> String {
    OffsetDateTime::from_unix_timestamp(time.0.div_euclid(1000))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} ms", time.0))
}

fn key_id(args: &NamedArgs) -> Result<AccessKeyId, Error> {
    AccessKeyId::new(&args.id)
        .ok_or_else(|| refused(format!("`{}` is not an access key id, expected 1 to 64 of A-Z a-z 0-9 _ -", args.id)))
}

/// Tells what was done to a key; one that went meanwhile is none.
fn report(found: bool, id: &AccessKeyId, done: &str, as_json: bool) -> Outcome {
    if !found {
        return Err(no_key(id));
    }
    if as_json {
        terminal::data(json!({ "access_key_id": id.as_str(), done: found }));
    } else {
        terminal::message(format_args!("access key {id} is {done}"));
    }
    Ok(Verdict::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn said<T>(answer: Result<T, Error>) -> String {
        answer.err().expect("it is refused").message().to_owned()
    }

    #[test]
    fn a_label_is_named_as_the_flag_and_an_empty_one_is_none() {
        assert_eq!(label("door 3").unwrap().unwrap().as_str(), "door 3");
        assert!(label("").unwrap().is_none() && label(" ").unwrap().is_none());
        assert_eq!(said(label(&"x".repeat(256))), "`--label` has 256 characters, expected at most 255");
        assert!(said(label("a\nb")).contains("one line"));
        let control = said(label("a\u{7}"));
        assert!(control.contains("`--label`") && !control.contains("`note`"), "{control}");
    }

    #[test]
    fn times_are_read_up_to_their_bounds() {
        assert_eq!(time_span("--overlap", "0s").unwrap(), Duration::ZERO);
        assert_eq!(time_span("--overlap", "31d").unwrap(), limits::KEY_OVERLAP_MAX);
        for wrong in ["", "d", "1.5h", "-1d", "+1d", "1w", "1 d"] {
            assert!(said(time_span("--overlap", wrong)).contains("expected a number and a unit"), "{wrong}");
        }
        // Too large for a number is too long, not malformed.
        let most = limits::KEY_LIFETIME_MAX.as_secs() / 86_400;
        for long in ["99999999999999999999d", "4294967296d", "0s"] {
            assert_eq!(said(lifetime(long)), format!("`--expires` is `{long}`, expected 1s to {most}d"));
        }
    }
}
