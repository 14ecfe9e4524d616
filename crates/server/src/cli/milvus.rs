//! `likeness milvus`: what Milvus has of the library's large face sets, compared with the database.

use clap::{Args, Subcommand};
use likeness_domain::Error;
use likeness_domain::ports::{CredentialStore, GalleryStore};
use likeness_domain::types::FaceSetId;
use likeness_store::milvus::truth::{Outbox, Place, Stage};
use serde::Serialize;

use super::table::{self, Align};
use super::terminal;
use crate::assemble;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, failed, refused};

/// Large face sets in Milvus. Servers may run meanwhile.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare what Milvus has with the database, row by row: counts, digests, and how many rows differ
    #[command(after_help = "Example: likeness milvus check --store postgres://likeness@db.example/likeness\n\n\
        Servers may write meanwhile: rows that change are looked at again. The exit code is 0 if Milvus has what the database \
        has, 1 if not, 2 if it could not be compared, as where rows are unsettled (`unsettled` with --json): they changed at \
        each look, or Milvus had yet to get them.")]
    Check(CheckArgs),
    /// Copy a face set to Milvus anew; its searches are refused until that is done
    #[command(after_help = "Example: likeness milvus rebuild acme staff")]
    Rebuild(RebuildArgs),
    /// Have a face set searched in Milvus, or in the servers, whatever its size
    #[command(after_help = "Examples: likeness milvus place acme staff milvus     (however small it is)\n\
        \x20         likeness milvus place acme staff servers    (however large it is)\n\
        \x20         likeness milvus place acme staff size       (what `milvus.from_faces` says; so it is at first)\n\
        \x20         likeness milvus place acme staff            (says how it is)\n\n\
        A face set that is in Milvus is taken back by each server when it starts.")]
    Place(PlaceArgs),
}

/// See [`Command::Place`].
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// The tenant's name
    tenant: String,
    /// The face set's name
    face_set: String,
    /// Where it is to be searched; without it, prints where it is
    place: Option<Wanted>,
}

/// Where a face set is to be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wanted {
    /// In Milvus, however small it is
    Milvus,
    /// In the servers, however large it is
    Servers,
    /// Where its size says
    Size,
}

impl Wanted {
    fn of(outbox: &Outbox, face_set: FaceSetId) -> Self {
        match outbox.chosen.get(&face_set) {
            Some(Place::Milvus) => Self::Milvus,
            Some(Place::Nodes) => Self::Servers,
            None => Self::Size,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Milvus => "wanted in Milvus, whatever its size",
            Self::Servers => "wanted in the servers, whatever its size",
            Self::Size => "goes where its size says",
        }
    }
}

/// See [`Command::Check`].
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// See [`Command::Rebuild`].
#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// The tenant's name
    tenant: String,
    /// The face set's name
    face_set: String,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Findings {
    /// Everything up to this commit is in Milvus.
    revision: u64,
    face_sets: Vec<Found>,
}

/// Of one face set.
#[derive(Debug, Serialize)]
struct Found {
    tenant: String,
    face_set: String,
    stage: &'static str,
    in_database: u64,
    in_milvus: u64,
    missing: u64,
    stale: u64,
    surplus: u64,
    /// Rows of which it is not known.
    unsettled: u64,
    digest_of_database: String,
    digest_of_milvus: String,
}

fn word_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Filling => "being copied, searched in the servers",
        Stage::Served => "searched in Milvus",
        Stage::Refilling => "being copied anew, not searched",
    }
}

pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    match command {
        Command::Check(args) => check(args, config).await,
        Command::Rebuild(args) => rebuild(args, config).await,
        Command::Place(args) => place(args, config).await,
    }
}

/// Every face set with the names of its tenant and itself.
async fn names(store: &(impl CredentialStore + GalleryStore)) -> Result<Vec<(FaceSetId, String, String)>, Error> {
    let mut names = Vec::new();
    for tenant in store.tenants().await? {
        for summary in store.face_sets(tenant.id).await? {
            let face_set = summary.face_set;
            names.push((face_set.id, tenant.name.as_str().to_owned(), face_set.name.as_str().to_owned()));
        }
    }
    Ok(names)
}

async fn check(args: CheckArgs, config: &Config) -> Outcome {
    let (store, milvus) = assemble::database_and_milvus(config).await?;
    let (names, outbox) = (names(&*store).await?, milvus.outbox().await?);
    let (mut found, mut is_same, mut n_unsettled) = (Vec::new(), true, 0);
    for (face_set, kept) in &outbox.sets {
        let Some((_, tenant, name)) = names.iter().find(|(id, ..)| id == face_set) else { continue };
        let differences = milvus.compare(*face_set).await?;
        // What is being copied has yet to come.
        let (n_missing, n_stale, n_surplus) = (differences.n_missing, differences.n_stale, differences.n_surplus);
        is_same &= n_missing + n_stale + n_surplus == 0 || kept.stage != Stage::Served;
        n_unsettled += if kept.stage == Stage::Served { differences.n_unsettled } else { 0 };
        found.push(Found {
            tenant: tenant.clone(),
            face_set: name.clone(),
            stage: word_of(kept.stage),
            in_database: differences.n_truth,
            in_milvus: differences.n_milvus,
            missing: n_missing,
            stale: n_stale,
            surplus: n_surplus,
            unsettled: differences.n_unsettled,
            digest_of_database: format!("{:016x}", differences.digest_truth),
            digest_of_milvus: format!("{:016x}", differences.digest_milvus),
        });
    }
    if args.json {
        terminal::json(&Findings { revision: outbox.position.revision.0, face_sets: found })?;
    } else if found.is_empty() {
        terminal::data("no face set is in Milvus");
    } else {
        let columns = [
            ("TENANT", Align::Left),
            ("FACE SET", Align::Left),
            ("DATABASE", Align::Right),
            ("MILVUS", Align::Right),
            ("MISSING", Align::Right),
            ("STALE", Align::Right),
            ("SURPLUS", Align::Right),
            ("UNSETTLED", Align::Right),
            ("DIGESTS", Align::Left),
            ("STATE", Align::Left),
        ];
        let rows: Vec<Vec<String>> = found.iter().map(cells).collect();
        table::lines(&columns, &rows).iter().for_each(terminal::data);
    }
    if !is_same {
        terminal::message("rows that differ: `likeness milvus rebuild TENANT FACE_SET` copies a face set anew");
    }
    match n_unsettled {
        _ if !is_same => Ok(Verdict::No),
        0 => Ok(Verdict::Done),
        _ => Err(failed(format!(
            "{n_unsettled} rows changed at each look, or Milvus had yet to get them: whether they differ is not known"
        ))
        .with_hint("run it again when less is written; `likeness doctor` says how far Milvus is")),
    }
}

fn cells(found: &Found) -> Vec<String> {
    let digests = if found.digest_of_database == found.digest_of_milvus { "same" } else { "differ" };
    vec![
        found.tenant.clone(),
        found.face_set.clone(),
        found.in_database.to_string(),
        found.in_milvus.to_string(),
        found.missing.to_string(),
        found.stale.to_string(),
        found.surplus.to_string(),
        found.unsettled.to_string(),
        digests.to_owned(),
        found.stage.to_owned(),
    ]
}

async fn named(
    store: &(impl CredentialStore + GalleryStore),
    tenant: &str,
    face_set: &str,
) -> Result<FaceSetId, Error> {
    let names = names(store).await?;
    let known = names.iter().find(|(_, of_tenant, name)| of_tenant == tenant && name == face_set);
    known.map(|(id, ..)| *id).ok_or_else(|| {
        refused(format!("the tenant `{tenant}` has no face set `{face_set}`"))
            .with_hint("`likeness face-set list` names them")
    })
}

async fn place(args: PlaceArgs, config: &Config) -> Outcome {
    let PlaceArgs { tenant, face_set, place } = args;
    let (store, milvus) = assemble::database_and_milvus(config).await?;
    let id = named(&*store, &tenant, &face_set).await?;
    let outbox = milvus.outbox().await?;
    let stage = outbox.sets.get(&id).map(|set| set.stage);
    let Some(wanted) = place else {
        let place = stage.map_or("searched in the servers", word_of);
        terminal::data(format_args!("{place}; {}", Wanted::of(&outbox, id).words()));
        return Ok(Verdict::Done);
    };
    let chosen = match wanted {
        Wanted::Milvus => Some(Place::Milvus),
        Wanted::Servers => Some(Place::Nodes),
        Wanted::Size => None,
    };
    milvus.choose(id, chosen).await?;
    terminal::message(wanted.words());
    let is_there = stage.is_some_and(|stage| stage != Stage::Filling);
    if wanted == Wanted::Servers && is_there {
        terminal::message(
            "it is in Milvus: each server takes it back when it starts, so restart them one after the other",
        );
    }
    Ok(Verdict::Done)
}

async fn rebuild(args: RebuildArgs, config: &Config) -> Outcome {
    let RebuildArgs { tenant, face_set } = args;
    let (store, milvus) = assemble::database_and_milvus(config).await?;
    let id = named(&*store, &tenant, &face_set).await?;
    if !milvus.outbox().await?.sets.contains_key(&id) {
        return Err(refused(format!("the face set `{face_set}` is not in Milvus")).with_hint(
            "a face set moves there when it has `milvus.from_faces` faces, or by `likeness milvus place .. milvus`",
        ));
    }
    milvus.rebuild(id).await?;
    terminal::message("asked for: a running server copies it, `likeness milvus check` shows how far it is");
    Ok(Verdict::Done)
}
