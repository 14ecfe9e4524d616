//! `likeness console`: a link that opens the console signed in as the owner of the data folder. The proof of being the owner
//! is the socket in the folder; what the link carries is good once and for a minute.

use std::io::IsTerminal;
use std::process::{Command, Stdio};

use clap::Args;
use http::Method;
use likeness_domain::Error;
use likeness_domain::ports::{Clock, IdSource};
use likeness_domain::types::{Tenant, TenantId, TenantName};
use likeness_wire::native::dto;
use serde::Serialize;

use super::connection::{Connection, Payload};
use super::key::actor;
use super::terminal;
use crate::assemble;
use crate::config::Config;
use crate::console::{self, Address};
use crate::outcome::{Outcome, Verdict, refused};
use crate::system::{SystemClock, SystemIds};

/// Name of the tenant that is made where there is none.
const FIRST_TENANT: &str = "default";

/// Open the console in a browser, signed in as the owner of the data folder.
#[derive(Debug, Args)]
#[command(after_help = "Example: likeness console --tenant acme --print")]
pub(crate) struct ConsoleArgs {
    /// Whose faces [default: LIKENESS_TENANT, else the only tenant; on an empty data folder one is made]
    #[arg(long, value_name = "NAME", env = "LIKENESS_TENANT", hide_env = true)]
    tenant: Option<String>,
    /// Where the browser reaches the server, as behind a proxy [default: where it listens]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print the link and open nothing
    #[arg(long)]
    print: bool,
    /// Print one JSON object and open nothing
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Link {
    url: String,
    expires_at: String,
}

/// Makes the link, prints it, and opens it where there is a screen.
pub(crate) async fn run(args: ConsoleArgs, config: &Config) -> Outcome {
    let mut connection = Connection::to_server(config).await?.ok_or_else(|| {
        refused("no server is running on this data folder")
            .with_hint("start one with `likeness serve`, then call this again in a second terminal")
    })?;
    let address: Address = connection.call(Method::GET, &["address"], &[], Payload::Empty).await?;
    if !address.has_console {
        return Err(refused("this server has no console").with_hint(
            "it is switched off by the setting `console` (`likeness config show` says so), or the program was built without it",
        ));
    }
    let base = match &args.url {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => url.trim_end_matches('/').to_owned(),
        Some(url) => {
            return Err(refused(format!(
                "`--url` is `{url}`, expected an address that begins with http:// or https://"
            )));
        }
        None => address.url,
    };
    // An empty variable counts as unset.
    let tenant = args.tenant.as_deref().filter(|name| !name.is_empty());
    ensure_tenant(config, tenant.is_none()).await?;
    connection.choose_tenant(tenant).await?;
    let dto::Ticket { ticket, expires_at } = connection.call(Method::POST, &["tickets"], &[], Payload::Empty).await?;
    // Behind the `#`, since that part of an address is sent to no server and stands in no log.
    let url = format!("{base}{}/#ticket={ticket}", console::PREFIX);
    if args.json {
        terminal::json(&Link { url, expires_at })?;
        return Ok(Verdict::Done);
    }
    terminal::data(&url);
    let is_opened = !args.print && std::io::stdout().is_terminal() && open(&url);
    terminal::message(match is_opened {
        true => "opened in the browser; the link is good once, for a minute",
        false => "open this link in a browser; it is good once, for a minute",
    });
    Ok(Verdict::Done)
}

/// Makes a tenant where there is none: the first visitor should find the console, not a hint about keys.
async fn ensure_tenant(config: &Config, may_make: bool) -> Result<(), Error> {
    let credentials = assemble::credentials(config)?;
    if !may_make || !credentials.tenants().await?.is_empty() {
        return Ok(());
    }
    let mut bits = [0; 16];
    SystemIds.fill(&mut bits);
    let id = TenantId::from_bits(u128::from_be_bytes(bits));
    let tenant = Tenant::new(id, TenantName::new(FIRST_TENANT)?, SystemClock.now());
    credentials.ensure_tenant(actor(id), tenant).await?;
    terminal::message(format_args!("the tenant `{FIRST_TENANT}` is made"));
    Ok(())
}

/// Opens the link with the desktop's own program, where there is a desktop.
fn open(url: &str) -> bool {
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if !cfg!(target_os = "macos") && !has_screen {
        return false;
    }
    let started =
        Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    started.is_ok_and(|status| status.success())
}
