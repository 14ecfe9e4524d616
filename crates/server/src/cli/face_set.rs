//! `likeness face-set`: make, list, show, change, delete.

use clap::{Args, Subcommand};
use http::Method;
use likeness_wire::native::dto;

use super::connection::{Connection, Needs, Payload};
use super::deed::Deed;
use super::table::{self, Align};
use super::tenant::number_or_none;
use super::{offered, terminal};
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::refused;
use crate::outcome::{Outcome, Verdict};

/// Named collections of faces that are searched as one.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an empty face set
    #[command(after_help = "Example: likeness face-set create staff --field floor:long --quality medium")]
    Create(CreateArgs),
    /// List the face sets, oldest first
    #[command(after_help = "Example: likeness face-set list --json")]
    List(ListArgs),
    /// Show one face set
    #[command(after_help = "Example: likeness face-set show staff")]
    Show(NameArgs),
    /// Change a face set's name, capacity, quality gate, thumbnails or words
    #[command(after_help = "Example: likeness face-set update staff --label 'Everybody on floor 3'")]
    Update(UpdateArgs),
    /// Delete a face set and its faces; there is no way back
    #[command(after_help = "Example: likeness face-set delete visitors --yes")]
    Delete(DeleteArgs),
}

/// See [`Command::Create`].
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Name, unique within the tenant
    name: String,
    /// A custom field: string, integer, long, float, double or boolean; can be repeated
    #[arg(long = "field", value_name = "NAME:TYPE")]
    fields: Vec<String>,
    /// Most faces it may hold [default: no bound]
    #[arg(long, value_name = "N")]
    capacity: Option<u64>,
    /// How good a picture of a face must be: none, low, medium or high [default: the setting quality_gate]
    #[arg(long, value_name = "LEVEL", value_parser = offered::QUALITY, hide_possible_values = true)]
    quality: Option<String>,
    /// Keep a small picture of each face that is enrolled, for people to look at
    #[arg(long)]
    thumbnails: bool,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::List`].
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    library: LibraryArgs,
}

/// A face set by name.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Update`].
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    which: NameArgs,
    /// Its name from now on, unique within the tenant; clients that use the old one do not find it any more
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// How good a picture of a face must be from now on: none, low, medium or high; faces in the set stay
    #[arg(long, value_name = "LEVEL", value_parser = offered::QUALITY, hide_possible_values = true)]
    quality: Option<String>,
    /// Keep a small picture of each face that is enrolled from now on, or erase those that there are: on or off
    #[arg(long, value_name = "on|off", value_parser = offered::SWITCH, hide_possible_values = true)]
    thumbnails: Option<String>,
    /// Most faces it may hold from now on, not fewer than it has; `none` for no bound
    #[arg(long, value_name = "N|none")]
    capacity: Option<String>,
    /// Name for people; an empty one clears it
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Free text; an empty one clears it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// See [`Command::Delete`].
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    which: NameArgs,
    /// Refuse if it holds faces; needs no confirmation
    #[arg(long)]
    only_if_empty: bool,
    /// Do not ask at a terminal; without one nothing is asked
    #[arg(long)]
    yes: bool,
}

/// Runs the command.
pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    match command {
        Command::Create(args) => create(args, config).await,
        Command::List(args) => list(args, config).await,
        Command::Show(args) => show(args, config).await,
        Command::Update(args) => update(args, config).await,
        Command::Delete(args) => delete(args, config).await,
    }
}

async fn create(args: CreateArgs, config: &Config) -> Outcome {
    let field = |text: &String| match text.rsplit_once(':') {
        Some((name, field_type)) => Ok(dto::Field { name: name.to_owned(), field_type: field_type.to_owned() }),
        None => Err(refused(format!("`--field` is `{text}`, expected NAME:TYPE"))),
    };
    let fields = args.fields.iter().map(field).collect::<Result<_, _>>()?;
    let (capacity, quality) = (args.capacity, args.quality);
    let thumbnails = args.thumbnails.then_some(true);
    let body = dto::CreateFaceSet { name: args.name, fields, capacity, quality, thumbnails, ..Default::default() };
    let connection = Connection::open(config, args.library.tenant(), Needs::Pack).await?;
    let made: dto::FaceSet = connection.call(Method::POST, &["face-sets"], &[], Payload::json(&body)?).await?;
    if args.library.json {
        terminal::json(&made)?;
    } else {
        terminal::data(format!("made face set `{}` with pack {}", made.name, made.pack));
    }
    Ok(Verdict::Done)
}

async fn list(args: ListArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let listed =
        connection.all("face-sets", |page: &mut dto::FaceSets| (&mut page.face_sets, &mut page.next_cursor)).await?;
    if args.library.json {
        terminal::json(&listed)?;
        return Ok(Verdict::Done);
    }
    let columns = [("name", Align::Left), ("faces", Align::Right), ("capacity", Align::Right), ("pack", Align::Left)];
    let row = |face_set: &dto::FaceSet| {
        let capacity = face_set.capacity.map_or("-".to_owned(), |capacity| capacity.to_string());
        vec![face_set.name.clone(), face_set.n_faces.to_string(), capacity, face_set.pack.clone()]
    };
    let rows: Vec<_> = listed.face_sets.iter().map(row).collect();
    if rows.is_empty() {
        terminal::message("there is no face set yet");
    } else {
        table::lines(&columns, &rows).iter().for_each(terminal::data);
    }
    Ok(Verdict::Done)
}

async fn show(args: NameArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let shown: dto::FaceSet = connection.call(Method::GET, &["face-sets", &args.name], &[], Payload::Empty).await?;
    if args.library.json {
        terminal::json(&shown)?;
        return Ok(Verdict::Done);
    }
    terminal::data(format!("name        {}", shown.name));
    if let Some(label) = &shown.label {
        terminal::data(format!("label       {label}"));
    }
    terminal::data(format!("faces       {}", shown.n_faces));
    terminal::data(format!("capacity    {}", shown.capacity.map_or("no bound".to_owned(), |n| n.to_string())));
    terminal::data(format!("quality     {}", shown.quality));
    terminal::data(format!("thumbnails  {}", if shown.thumbnails { "on" } else { "off" }));
    terminal::data(format!("pack        {}", shown.pack));
    if let Some(storage) = shown.storage {
        let about = if storage.is_exact { "" } else { "about " };
        let kb = |bytes: u64| format!("{about}{} KB", bytes.div_ceil(1000));
        let (templates, records) = (kb(storage.template_bytes), kb(storage.record_bytes));
        terminal::data(format!(
            "storage     templates {templates}, records {records}, thumbnails {}",
            kb(storage.thumbnail_bytes)
        ));
    }
    terminal::data(format!("made        {}", shown.created_at));
    for field in &shown.fields {
        terminal::data(format!("field       {}:{}", field.name, field.field_type));
    }
    Ok(Verdict::Done)
}

async fn update(args: UpdateArgs, config: &Config) -> Outcome {
    let UpdateArgs { which: NameArgs { name, library }, rename, quality, thumbnails, capacity, label, note } = args;
    let has_words = [&rename, &label, &note, &quality, &thumbnails, &capacity].iter().any(|option| option.is_some());
    if !has_words {
        return Err(refused(format!("nothing is said to change of face set `{name}`"))
            .with_hint("give some of `--rename`, `--capacity`, `--quality`, `--thumbnails`, `--label` and `--note`"));
    }
    let capacity = capacity.map(|text| number_or_none("--capacity", &text, (0, i64::MAX as u64))).transpose()?;
    let thumbnails = match thumbnails.as_deref() {
        None => None,
        Some("on") => Some(true),
        Some("off") => Some(false),
        Some(other) => return Err(refused(format!("`--thumbnails` is `{other}`, expected on or off"))),
    };
    let body = dto::UpdateFaceSet { name: rename, label, note, quality, thumbnails, capacity, ..Default::default() };
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    let path = ["face-sets", &name];
    let changed: dto::FaceSet = connection.call(Method::PATCH, &path, &[], Payload::json(&body)?).await?;
    if library.json {
        terminal::json(&changed)?;
    } else {
        let capacity = changed.capacity.map_or("no bound".to_owned(), |n| n.to_string());
        terminal::data(format!(
            "changed face set `{}`, quality gate {}, thumbnails {}, capacity {capacity}",
            changed.name,
            changed.quality,
            if changed.thumbnails { "on" } else { "off" }
        ));
    }
    Ok(Verdict::Done)
}

async fn delete(args: DeleteArgs, config: &Config) -> Outcome {
    let DeleteArgs { which: NameArgs { name, library }, only_if_empty, yes } = args;
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    if !Deed::DeleteFaceSet(&name).is_confirmed(yes || only_if_empty)? {
        return Ok(Verdict::No);
    }
    let query: &[(&str, &str)] = if only_if_empty { &[("only_if_empty", "true")] } else { &[] };
    let _: serde_json::Value = connection.call(Method::DELETE, &["face-sets", &name], query, Payload::Empty).await?;
    if library.json {
        terminal::json(&serde_json::json!({ "deleted": name }))?;
    } else {
        terminal::data(format!("deleted face set `{name}`"));
    }
    Ok(Verdict::Done)
}
