//! `likeness search`: who in a face set resembles the face in a photograph, an enrolled face or a person.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http::Method;
use likeness_domain::Error;
use likeness_wire::native::dto;
use serde_json::{Map, Value, json};

use super::connection::{Connection, Needs, Payload};
use super::rates::{in_gallery, shown_matches, shown_rate};
use super::table::{self, Align};
use super::{photo, terminal};
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict};

/// Finds who resembles the largest face of a photograph, an enrolled face or a person. Ends with 1 when nobody does. Without a threshold, one comparison
/// of two strangers in ten thousand passes, so a search of 10,000 faces finds one stranger; `--false-matches` takes the
/// number of faces into account.
#[derive(Debug, Args)]
#[command(after_help = "\
    Without a threshold, one comparison of two strangers in ten thousand passes, so that a search of 10,000 faces finds one \
    stranger; `--false-matches` takes the number of faces into account. Ends with 1 when nobody is found.\n\n\
    Examples:\n  likeness search visitor.jpg --set staff --false-matches 0.01\n  likeness search --person anna --set staff")]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    probe: Probe,
    /// In which face set
    #[arg(long = "set", value_name = "NAME")]
    face_set: String,
    /// Most candidates
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: u64,
    /// The threshold by its false-accept rate: the share of comparisons of two strangers that pass [default: 1e-4, or what `pack calibrate --default-far` has set]
    #[arg(long, value_name = "RATE", conflicts_with_all = ["similarity", "false_matches"], value_parser = super::numbers::finite::<f64>)]
    far: Option<f64>,
    /// The threshold at which so many strangers are expected to be found among all faces of the set
    #[arg(long, value_name = "X", conflicts_with = "similarity", value_parser = super::numbers::finite::<f64>)]
    false_matches: Option<f64>,
    /// Only candidates at least so similar: a cosine, -1 to 1
    #[arg(long, value_name = "X", value_parser = super::numbers::finite::<f32>)]
    similarity: Option<f32>,
    /// Only faces that pass, as in `age:[30 TO 40]`
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Who is looked for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Probe {
    /// The photograph
    photo: Option<PathBuf>,
    /// An enrolled face of the set instead, which finds itself too
    #[arg(long, value_name = "ID")]
    face_id: Option<String>,
    /// A person instead, whose own faces are left out of the answer
    #[arg(long, value_name = "KEY")]
    person: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(args: SearchArgs, config: &Config) -> Outcome {
    let answer = match &args.probe {
        Probe { photo: Some(photo), .. } => {
            let image = photo::read(photo)?;
            by_image(&args, config, image).await.map_err(|error| photo::failure(photo, error))?
        }
        Probe { face_id, person, .. } => by_enrolled(&args, config, face_id.clone(), person.clone()).await?,
    };
    if let (Some(photo), false) = (&args.probe.photo, args.library.json) {
        photo::note_several(photo, answer.n_faces_in_image, "looked for");
    }
    if args.library.json {
        terminal::json(&answer)?;
    } else if answer.candidates.is_empty() {
        terminal::message(format!("nobody in `{}` reaches similarity {:.4}", args.face_set, answer.similarity_min));
        terminal::message(format!("threshold: {}", in_gallery(&answer)));
    } else {
        let columns = [
            ("similarity", Align::Right),
            ("FAR", Align::Left),
            ("false matches", Align::Left),
            ("subject", Align::Left),
            ("face id", Align::Right),
            ("external id", Align::Left),
        ];
        let rows: Vec<_> = answer.candidates.iter().map(row).collect();
        table::lines(&columns, &rows).iter().for_each(terminal::data);
        let threshold = in_gallery(&answer);
        terminal::message(format!("threshold {:.4}: {threshold}", answer.similarity_min));
    }
    Ok(if answer.candidates.is_empty() { Verdict::No } else { Verdict::Done })
}

async fn by_image(args: &SearchArgs, config: &Config, image: Bytes) -> Result<dto::SearchAnswer, Error> {
    let (top, far, similarity) =
        (args.top.to_string(), args.far.map(|far| far.to_string()), args.similarity.map(|least| least.to_string()));
    let false_matches = args.false_matches.map(|expected| expected.to_string());
    let mut query = vec![("top", top.as_str())];
    query.extend(far.as_deref().map(|far| ("far", far)));
    query.extend(false_matches.as_deref().map(|expected| ("false_matches", expected)));
    query.extend(similarity.as_deref().map(|similarity| ("similarity_min", similarity)));
    query.extend(args.filter.as_deref().map(|filter| ("filter", filter)));
    let connection = Connection::open(config, args.library.tenant(), Needs::Pack).await?;
    let path = ["face-sets", &args.face_set, "search"];
    connection.call(Method::POST, &path, &query, Payload::Image(image)).await
}

async fn by_enrolled(
    args: &SearchArgs,
    config: &Config,
    face_id: Option<String>,
    person: Option<String>,
) -> Result<dto::SearchAnswer, Error> {
    // Written by hand, since the type of the request names what is absent.
    let words = [("face_id", face_id.map(Value::from)), ("person", person.map(Value::from))];
    let numbers = [
        ("top", Some(json!(args.top))),
        ("far", args.far.map(|far| json!(far))),
        ("false_matches", args.false_matches.map(|expected| json!(expected))),
        ("similarity_min", args.similarity.map(|least| json!(least))),
        ("filter", args.filter.as_ref().map(|filter| json!(filter))),
    ];
    let body: Map<String, Value> =
        words.into_iter().chain(numbers).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    // The pack's points are the threshold.
    let connection = Connection::open(config, args.library.tenant(), Needs::Pack).await?;
    let path = ["face-sets", &args.face_set, "search"];
    connection.call(Method::POST, &path, &[], Payload::json(&body)?).await
}

fn row(candidate: &dto::Candidate) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let face = &candidate.face;
    vec![
        format!("{:.4}", candidate.similarity),
        shown_rate(&candidate.rate),
        shown_matches(&candidate.in_gallery, candidate.rate.far_bound),
        super::face::who(face).unwrap_or("-").to_owned(),
        face.id.clone(),
        text(&face.external_id),
    ]
}
