//! `likeness tenant`: list, show, make, set limits, delete.

use clap::{Args, Subcommand};
use http::Method;
use likeness_domain::access::Limits;
use likeness_domain::ports::CredentialStore;
use likeness_domain::types::{Tenant, TenantName, TimestampMs};
use likeness_domain::{Error, Kind};
use likeness_wire::native::dto;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::connection::{Connection, Payload, existing_library};
use super::deed::Deed;
use super::key::{actor, spell};
use super::terminal;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, refused};

/// Tenants: each has face sets, persons and keys of its own. `likeness key create` makes one with its first key.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the tenants with their limits, oldest first
    #[command(after_help = "Example: likeness tenant list --json")]
    List(ListArgs),
    /// Show a tenant: its limits, and how much it has
    #[command(after_help = "Example: likeness tenant show acme --json")]
    Show(NamedArgs),
    /// Make a tenant with its limits and no key yet; `likeness key create --tenant NAME` makes one with a key
    #[command(after_help = "Example: likeness tenant create acme --faces-max 100000")]
    Create(SetArgs),
    /// Limit how much a tenant may hold and how often it may call; `none` takes a limit away
    #[command(after_help = "Example: likeness tenant set acme --faces-max 100000 --calls-per-second 50")]
    Set(SetArgs),
    /// Delete a tenant with its face sets, persons, faces, keys, uploads and jobs; there is no way back
    #[command(after_help = "Example: likeness tenant delete acme --yes")]
    Delete(DeleteArgs),
}

/// See [`Command::List`].
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// See [`Command::Show`].
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// Its name [default: LIKENESS_TENANT]
    #[arg(env = "LIKENESS_TENANT", hide_env = true)]
    name: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// See [`Command::Set`] and [`Command::Create`].
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Its name
    name: String,
    /// Most face sets
    #[arg(long, value_name = "N|none")]
    face_sets_max: Option<String>,
    /// Most faces, all face sets and persons together
    #[arg(long, value_name = "N|none")]
    faces_max: Option<String>,
    /// Most persons
    #[arg(long, value_name = "N|none")]
    persons_max: Option<String>,
    /// Most faces that one face set shows
    #[arg(long, value_name = "N|none")]
    set_faces_max: Option<String>,
    /// Most faces of one person
    #[arg(long, value_name = "N|none")]
    person_faces_max: Option<String>,
    /// Most calls a second, all keys and dialects together
    #[arg(long, value_name = "N|none")]
    calls_per_second: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// See [`Command::Delete`].
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Its name
    name: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command on the data folder of `config`.
pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    existing_library(config)?;
    match command {
        Command::List(args) => list(&*crate::assemble::credentials(config)?, args).await,
        Command::Show(args) => show(args, config).await,
        Command::Create(args) => create(args, config).await,
        Command::Set(args) => set(&*crate::assemble::credentials(config)?, args).await,
        Command::Delete(args) => delete(args, config).await,
    }
}

/// The limits of a tenant by their names.
fn named(limits: &Limits) -> [(&'static str, Option<u64>); 6] {
    [
        ("face_sets_max", limits.face_sets_max),
        ("faces_max", limits.faces_max),
        ("persons_max", limits.persons_max),
        ("set_faces_max", limits.face_set_faces_max),
        ("person_faces_max", limits.person_faces_max),
        ("calls_per_second", limits.calls_per_second.map(u64::from)),
    ]
}

/// A tenant as JSON.
fn described(tenant: &Tenant) -> serde_json::Value {
    shape(tenant.name.as_str(), &tenant.id.to_string(), &spell(tenant.created_at), &tenant.limits)
}

/// The same of one that the native API tells of, whose times have fractions of seconds.
fn told(tenant: &dto::Tenant) -> serde_json::Value {
    let seconds = OffsetDateTime::parse(&tenant.created_at, &Rfc3339).ok();
    let seconds = seconds.map(|at| spell(TimestampMs(at.unix_timestamp() * 1000)));
    let created_at = seconds.as_ref().unwrap_or(&tenant.created_at);
    shape(&tenant.name, &tenant.project_id, created_at, &limits_of(&tenant.limits))
}

fn shape(name: &str, project_id: &str, created_at: &str, limits: &Limits) -> serde_json::Value {
    let limits: serde_json::Map<String, serde_json::Value> =
        named(limits).into_iter().map(|(name, most)| (name.to_owned(), json!(most))).collect();
    json!({ "tenant": name, "project_id": project_id, "created_at": created_at, "limits": limits })
}

fn limits_of(limits: &dto::TenantLimits) -> Limits {
    Limits {
        face_sets_max: limits.face_sets_max,
        faces_max: limits.faces_max,
        persons_max: limits.persons_max,
        face_set_faces_max: limits.set_faces_max,
        person_faces_max: limits.person_faces_max,
        calls_per_second: limits.calls_per_second,
    }
}

async fn list(credentials: &dyn CredentialStore, args: ListArgs) -> Outcome {
    let tenants = credentials.tenants().await?;
    if args.json {
        terminal::data(json!({ "tenants": tenants.iter().map(described).collect::<Vec<_>>() }));
        return Ok(Verdict::Done);
    }
    let name_width = tenants.iter().map(|tenant| tenant.name.as_str().len()).max().unwrap_or(0);
    for tenant in &tenants {
        let limits: String = named(&tenant.limits)
            .into_iter()
            .filter_map(|(name, most)| most.map(|most| format!("  {name}={most}")))
            .collect();
        terminal::data(format_args!("{:name_width$}  {}{limits}", tenant.name.as_str(), spell(tenant.created_at)));
    }
    if tenants.is_empty() {
        terminal::message("there is no tenant yet");
        terminal::message("  hint: `likeness key create --tenant NAME` makes one");
    }
    Ok(Verdict::Done)
}

async fn show(args: NamedArgs, config: &Config) -> Outcome {
    // A name that none can have is told as that, here as in `set`.
    let name = TenantName::new(&args.name)?;
    let connection = Connection::as_operator(config).await?;
    let path = ["tenants", name.as_str()];
    let tenant: dto::Tenant = connection.call(Method::GET, &path, &[], Payload::Empty).await?;
    if args.json {
        let usage = tenant.usage.clone().unwrap_or_default();
        let usage = json!({ "n_face_sets": usage.n_face_sets, "n_persons": usage.n_persons, "n_faces": usage.n_faces });
        let mut told = told(&tenant);
        told["usage"] = usage;
        terminal::data(told);
        return Ok(Verdict::Done);
    }
    let line = |name: &str, value: &dyn std::fmt::Display| terminal::data(format_args!("{name:<18}{value}"));
    line("tenant", &tenant.name);
    line("project id", &tenant.project_id);
    line("made", &tenant.created_at);
    let (limits, usage) = (tenant.limits, tenant.usage.unwrap_or_default());
    let of = |n: u64, most: Option<u64>| most.map_or_else(|| n.to_string(), |most| format!("{n} of at most {most}"));
    line("face sets", &of(usage.n_face_sets, limits.face_sets_max));
    line("persons", &of(usage.n_persons, limits.persons_max));
    line("faces", &of(usage.n_faces, limits.faces_max));
    let or_none = |most: Option<u64>| most.map_or_else(|| "no limit".to_owned(), |most| most.to_string());
    line("faces of a set", &or_none(limits.set_faces_max));
    line("faces of a person", &or_none(limits.person_faces_max));
    line("calls a second", &or_none(limits.calls_per_second.map(u64::from)));
    Ok(Verdict::Done)
}

async fn create(args: SetArgs, config: &Config) -> Outcome {
    let name = TenantName::new(&args.name)?;
    let limits = changed(&args, Limits::NONE)?;
    let connection = Connection::as_operator(config).await?;
    // As it is written, so that what is none is left out.
    let given = named(&limits).into_iter().filter_map(|(name, most)| Some((name.to_owned(), json!(most?))));
    let limits: serde_json::Map<String, serde_json::Value> = given.collect();
    let body = Payload::json(&json!({ "name": name.as_str(), "limits": limits }))?;
    let made: dto::Tenant = connection.call(Method::POST, &["tenants"], &[], body).await?;
    if args.json {
        terminal::data(told(&made));
    } else {
        terminal::message(format_args!("made tenant {}", made.name));
        terminal::message(format_args!("  hint: `likeness key create --tenant {}` makes its first key", made.name));
    }
    Ok(Verdict::Done)
}

async fn set(credentials: &dyn CredentialStore, args: SetArgs) -> Outcome {
    let tenant = existing(credentials, &args.name).await?;
    let limits = changed(&args, tenant.limits)?;
    let is_changed = limits != tenant.limits && credentials.set_tenant_limits(actor(tenant.id), limits, None).await?;
    if args.json {
        terminal::data(described(&Tenant { limits, ..tenant }));
    } else if is_changed {
        terminal::message(format_args!("tenant {} has new limits", tenant.name));
    } else {
        terminal::message(format_args!("tenant {} is as it was", tenant.name));
    }
    Ok(Verdict::Done)
}

/// These limits with those that are given.
fn changed(args: &SetArgs, mut limits: Limits) -> Result<Limits, Error> {
    for (flag, given, limit) in [
        ("--face-sets-max", &args.face_sets_max, &mut limits.face_sets_max),
        ("--faces-max", &args.faces_max, &mut limits.faces_max),
        ("--persons-max", &args.persons_max, &mut limits.persons_max),
        ("--set-faces-max", &args.set_faces_max, &mut limits.face_set_faces_max),
        ("--person-faces-max", &args.person_faces_max, &mut limits.person_faces_max),
    ] {
        if let Some(text) = given {
            *limit = number_or_none(flag, text, (0, i64::MAX as u64))?;
        }
    }
    if let Some(text) = &args.calls_per_second {
        let most =
            number_or_none("--calls-per-second", text, (1, u64::from(u32::MAX))).map_err(|error| match &text[..] {
                "0" => error.with_hint("`likeness key disable` refuses a key's calls"),
                _ => error,
            })?;
        limits.calls_per_second = most.and_then(|most| u32::try_from(most).ok());
    }
    Ok(limits)
}

/// A limit: a whole number, or `none`.
pub(super) fn number_or_none(flag: &str, text: &str, (least, most): (u64, u64)) -> Result<Option<u64>, Error> {
    if text == "none" {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    let wrong = || refused(format!("`{flag}` is `{text}`, expected a whole number from {least} to {most}, or none"));
    number.map(Some).ok_or_else(wrong)
}

async fn existing(credentials: &dyn CredentialStore, name: &str) -> Result<Tenant, Error> {
    let name = TenantName::new(name)?;
    let tenant = credentials.tenant(name.clone()).await?;
    tenant.ok_or_else(|| {
        Error::new(Kind::TenantNotFound, format!("there is no tenant `{name}`"))
            .with_hint("`likeness tenant list` shows the tenants")
    })
}

async fn delete(args: DeleteArgs, config: &Config) -> Outcome {
    let tenant = existing(&*crate::assemble::credentials(config)?, &args.name).await?;
    let name = &tenant.name;
    if !Deed::DeleteTenant(name.as_str()).is_confirmed(args.yes)? {
        return Ok(Verdict::No);
    }
    let connection = Connection::as_operator(config).await?;
    let path = ["tenants", tenant.name.as_str()];
    let dto::TenantDeleted { deleted } =
        connection.call(Method::DELETE, &path, &[("confirm", name.as_str())], Payload::Empty).await?;
    if args.json {
        terminal::data(json!({ "deleted": deleted }));
    } else {
        terminal::message(format_args!("tenant {deleted} is deleted"));
    }
    Ok(Verdict::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_refused_is_told_with_what_is_accepted() {
        let read = |text| number_or_none("--calls-per-second", text, (1, 9));
        assert_eq!((read("none").unwrap(), read("1").unwrap(), read("9").unwrap()), (None, Some(1), Some(9)));
        for text in ["0", "10", "1.5", "-1", "", "nine", "99999999999999999999"] {
            let expected = format!("`--calls-per-second` is `{text}`, expected a whole number from 1 to 9, or none");
            assert_eq!(read(text).unwrap_err().message(), expected);
        }
    }
}
