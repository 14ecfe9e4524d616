//! `likeness log`: who changed what.

use clap::Args;
use likeness_wire::native::dto;

use super::connection::{Connection, Needs};
use super::table::{self, Align, counted};
use super::terminal;
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict};

/// Who changed what, and when: the record of commits, oldest first
#[derive(Debug, Args)]
#[command(after_help = "Example: likeness log --set staff --since 4711 --json")]
pub(crate) struct LogArgs {
    /// Only what changed of this face set
    #[arg(long = "set", value_name = "NAME")]
    face_set: Option<String>,
    /// Only what came after this revision, the first number of a line
    #[arg(long, value_name = "REVISION")]
    since: Option<u64>,
    /// Only what came after the `position` of an earlier answer with `--json`; refused where the library has another history
    /// since
    #[arg(long, value_name = "POSITION", conflicts_with = "since")]
    cursor: Option<String>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Runs the command.
pub(crate) async fn run(args: LogArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let since = args.since.map(|revision| revision.to_string());
    let of_all = args.face_set.as_deref().map(|name| ("face_set", name));
    let cursor = args.cursor.as_deref().map(|cursor| ("cursor", cursor));
    let of_first = since.as_deref().map(|since| ("since", since)).or(cursor);
    let query: Vec<_> = of_all.into_iter().collect();
    // `since` says where the first page begins, as cursors do of the others.
    let record = connection
        .all_of("changes", &query, of_first, |page: &mut dto::Changes| (&mut page.commits, &mut page.next_cursor))
        .await?;
    if args.library.json {
        terminal::json(&record)?;
        return Ok(Verdict::Done);
    }
    if args.cursor.is_none() && args.since.unwrap_or(0) < record.compacted {
        terminal::message(format_args!("up to revision {} not all commits are kept any more", record.compacted));
    }
    if record.commits.is_empty() {
        terminal::message("nothing has changed");
        return Ok(Verdict::Done);
    }
    let columns = [("revision", Align::Right), ("time", Align::Left), ("who", Align::Left), ("what", Align::Left)];
    let rows: Vec<_> = record.commits.iter().flat_map(rows).collect();
    table::lines(&columns, &rows).iter().for_each(terminal::data);
    Ok(Verdict::Done)
}

/// A line for each change; only the first one of a commit says which it is, when it was and whose.
fn rows(commit: &dto::Commit) -> Vec<Vec<String>> {
    // Without a key it was the owner of the data folder, and the request says how: at the command line, mostly.
    let who = commit.key.as_ref().unwrap_or(&commit.request_id);
    let head = [commit.revision.to_string(), commit.at.clone(), who.clone()];
    let line = |(idx, change): (usize, &dto::Changed)| {
        let mut row = if idx == 0 { head.to_vec() } else { vec![String::new(); head.len()] };
        row.push(words(change));
        row
    };
    commit.changes.iter().enumerate().map(line).collect()
}

fn words(change: &dto::Changed) -> String {
    let mut words = change.what.replace('_', " ");
    if let Some(id) = &change.face_set_id {
        // A set that is deleted has no name any more.
        words += &change.face_set.as_ref().map_or(format!(" (number {id})"), |name| format!(" `{name}`"));
    }
    if let Some(id) = &change.person_id {
        words += &change.person.as_ref().map_or(format!(" (number {id})"), |key| format!(" `{key}`"));
    }
    if let Some(key) = &change.access_key {
        words += &format!(" {key}");
    }
    if let Some(pack) = &change.pack {
        words += &format!(" of {pack}");
    }
    match (change.n_faces, &change.face_ids[..]) {
        (Some(1), [face]) => words += &format!(": {face}"),
        (Some(n_faces), _) => words += &format!(": {}", counted(n_faces, "face")),
        (None, _) => {}
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_has_a_line_for_each_change() {
        let changed = |what: &str| dto::Changed { what: what.to_owned(), ..dto::Changed::default() };
        let commit = dto::Commit {
            revision: 12,
            at: "2026-11-21T20:36:40Z".to_owned(),
            key: None,
            request_id: "command-line".to_owned(),
            changes: vec![
                dto::Changed { access_key: Some("AK1".to_owned()), ..changed("key_rotated") },
                dto::Changed {
                    face_set: Some("staff".to_owned()),
                    face_set_id: Some("7".to_owned()),
                    n_faces: Some(250),
                    face_ids: vec!["1".to_owned(), "2".to_owned()],
                    ..changed("faces_removed")
                },
                dto::Changed {
                    face_set_id: Some("8".to_owned()),
                    n_faces: Some(1),
                    face_ids: vec!["9".to_owned()],
                    ..changed("faces_put")
                },
                dto::Changed { person_id: Some("3".to_owned()), ..changed("person_deleted") },
            ],
        };
        let told: Vec<String> = rows(&commit).iter().map(|row| row.join("|")).collect();
        assert_eq!(
            told,
            [
                "12|2026-11-21T20:36:40Z|command-line|key rotated AK1",
                "|||faces removed `staff`: 250 faces",
                "|||faces put (number 8): 9",
                "|||person deleted (number 3)",
            ]
        );
    }
}
