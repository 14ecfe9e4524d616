//! `likeness person`: list, show, rename, merge, delete.

use clap::{Args, Subcommand};
use http::Method;
use likeness_wire::native::dto;

use super::connection::{Connection, Needs, Payload};
use super::table::{self, Align, counted};
use super::terminal;
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, refused};

/// Persons: identities that own faces and are members of face sets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the persons in the order of their keys
    #[command(after_help = "Example: likeness person list --json")]
    List(ListArgs),
    /// Show one person and its face sets
    #[command(after_help = "Example: likeness person show anna")]
    Show(KeyArgs),
    /// Give a person another key, name or note; its faces stay
    #[command(after_help = "Example: likeness person rename anna --key anna-b --name 'Anna B.'")]
    Rename(RenameArgs),
    /// Give all faces and face sets of one person to another, and delete the first; there is no way back
    #[command(after_help = "Example: likeness person merge anna-2 anna")]
    Merge(MergeArgs),
    /// Delete a person and its faces; there is no way back
    #[command(after_help = "Example: likeness person delete anna")]
    Delete(KeyArgs),
}

/// See [`Command::List`].
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    library: LibraryArgs,
}

/// A person by its key.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// Its key
    key: String,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Rename`].
#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    /// Its key so far
    #[arg(value_name = "PERSON")]
    person: String,
    /// Its key from now on, unique within the tenant
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Name for people; an empty one clears it
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Free text; an empty one clears it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Merge`].
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// Key of the person that goes
    from: String,
    /// Key of the person that gets its faces
    into: String,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Runs the command.
pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    match command {
        Command::List(args) => list(args, config).await,
        Command::Show(args) => show(args, config).await,
        Command::Rename(args) => rename(args, config).await,
        Command::Merge(args) => merge(args, config).await,
        Command::Delete(args) => delete(args, config).await,
    }
}

async fn list(args: ListArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let listed =
        connection.all("persons", |page: &mut dto::Persons| (&mut page.persons, &mut page.next_cursor)).await?;
    if args.library.json {
        terminal::json(&listed)?;
        return Ok(Verdict::Done);
    }
    let columns = [("key", Align::Left), ("faces", Align::Right), ("name", Align::Left)];
    let row = |person: &dto::Person| {
        let n_faces = person.n_faces.map_or("-".to_owned(), |n_faces| n_faces.to_string());
        vec![person.key.clone(), n_faces, person.name.clone().unwrap_or_default()]
    };
    let rows: Vec<_> = listed.persons.iter().map(row).collect();
    if rows.is_empty() {
        terminal::message("there is no person yet");
    } else {
        table::lines(&columns, &rows).iter().for_each(terminal::data);
    }
    Ok(Verdict::Done)
}

async fn show(args: KeyArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let shown: dto::Person = connection.call(Method::GET, &["persons", &args.key], &[], Payload::Empty).await?;
    if args.library.json {
        terminal::json(&shown)?;
        return Ok(Verdict::Done);
    }
    terminal::data(format!("key       {}", shown.key));
    if let Some(name) = &shown.name {
        terminal::data(format!("name      {name}"));
    }
    if let Some(note) = &shown.note {
        terminal::data(format!("note      {note}"));
    }
    terminal::data(format!("made      {}", shown.created_at));
    for face_set in shown.face_sets.iter().flatten() {
        terminal::data(format!("face set  {face_set}"));
    }
    Ok(Verdict::Done)
}

async fn rename(args: RenameArgs, config: &Config) -> Outcome {
    let RenameArgs { person, key, name, note, library } = args;
    if key.is_none() && name.is_none() && note.is_none() {
        return Err(refused(format!("nothing is said to change of person `{person}`"))
            .with_hint("give some of `--key`, `--name` and `--note`"));
    }
    let body = dto::UpdatePerson { key, name, note };
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    let path = ["persons", &person];
    let changed: dto::Person = connection.call(Method::PATCH, &path, &[], Payload::json(&body)?).await?;
    if library.json {
        terminal::json(&changed)?;
    } else {
        let name = changed.name.map(|name| format!(", {name}")).unwrap_or_default();
        terminal::data(format!("changed person `{}`{name}", changed.key));
    }
    Ok(Verdict::Done)
}

async fn merge(args: MergeArgs, config: &Config) -> Outcome {
    let MergeArgs { from, into, library } = args;
    let body = dto::MergePerson { from: from.clone() };
    // Joining a face set needs the pack that it would be made with if it were not there.
    let connection = Connection::open(config, library.tenant(), Needs::Pack).await?;
    let path = ["persons", &into, "merge"];
    let merged: dto::PersonMerged = connection.call(Method::POST, &path, &[], Payload::json(&body)?).await?;
    if library.json {
        terminal::json(&merged)?;
    } else {
        let faces = counted(merged.n_moved, "face");
        terminal::data(format!("merged person `{from}` with {faces} into `{}`", merged.person.key));
    }
    Ok(Verdict::Done)
}

async fn delete(args: KeyArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let path = ["persons", &args.key];
    let deleted: dto::PersonDeleted = connection.call(Method::DELETE, &path, &[], Payload::Empty).await?;
    if args.library.json {
        terminal::json(&deleted)?;
    } else {
        let faces = counted(deleted.n_faces, "face");
        terminal::data(format!("deleted person `{}` and {faces}", deleted.deleted));
    }
    Ok(Verdict::Done)
}
