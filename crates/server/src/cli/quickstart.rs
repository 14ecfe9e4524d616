//! The first start: a tenant, a key, and something to paste. The secret goes to a private file, never to the screen.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use likeness_domain::Error;
use likeness_domain::ports::CredentialStore;
use likeness_domain::types::{AccessKey, TenantName};

use super::key;
use crate::outcome::failed;

/// Name of the file in the data folder; a shell sources it.
const ENV_FILE: &str = "quickstart.env";

/// Makes the tenant `demo` with a key if there is no tenant yet, and returns what to tell the user.
pub(crate) async fn prepare(credentials: &dyn CredentialStore, data: &Path, url: &str) -> Result<String, Error> {
    // Absolute, since the terminal it is pasted into may stand elsewhere.
    let path = std::path::absolute(data).unwrap_or_else(|_| data.to_owned()).join(ENV_FILE);
    if credentials.tenants().await?.is_empty() {
        let key =
            key::create(credentials, &TenantName::new("demo").expect("a lawful name"), key::Wanted::EVERYTHING).await?;
        write_private(&path, &variables(&key, url, &path))?;
        return Ok(format!("tenant `demo` and its first key are made{}", example(&path)));
    }
    match fs::read_to_string(&path) {
        Ok(text) => {
            write_private(&path, &refreshed(&text, url, &path))?;
            Ok(format!("tenant and key of the first start are still there{}", example(&path)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok("this library has tenants already: `likeness key list` shows their keys".to_owned())
        }
        Err(error) => Err(failed(format!("cannot read {}: {error}", path.display()))),
    }
}

/// The line that names the data folder, in which the file lies, for the commands of `likeness`.
fn data_line(env_file: &Path) -> String {
    let data = env_file.parent().unwrap_or(env_file);
    format!("export LIKENESS_DATA={}", shell_quoted(&data.to_string_lossy()))
}

fn variables(key: &AccessKey, url: &str, env_file: &Path) -> String {
    // The other values are letters, digits and URL characters: nothing a shell would read otherwise.
    format!(
        "export LIKENESS_URL={url}\n\
         {}\n\
         export LIKENESS_TENANT={}\n\
         export LIKENESS_PROJECT_ID={}\n\
         export LIKENESS_ACCESS_KEY_ID={}\n\
         export LIKENESS_ACCESS_KEY_SECRET={}\n\
         export LIKENESS_KEY={}.{}\n",
        data_line(env_file),
        key.tenant.name,
        key.tenant.id,
        key.id,
        key.secret.reveal(),
        key.id,
        key.secret.reveal()
    )
}

/// The variables of an earlier start with today's address: the key is the old one, the port may be another. Files of
/// versions before the native API answered over the network lack `LIKENESS_KEY`, and the folder may have been moved.
fn refreshed(text: &str, url: &str, env_file: &Path) -> String {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("export LIKENESS_{name}=")));
    let is_new = |line: &str| line.starts_with("export LIKENESS_URL=") || line.starts_with("export LIKENESS_DATA=");
    let rest = text.lines().filter(|line| !is_new(line));
    let mut lines = vec![format!("export LIKENESS_URL={url}"), data_line(env_file)];
    lines.extend(rest.map(str::to_owned));
    if let (None, Some(id), Some(secret)) = (value("KEY"), value("ACCESS_KEY_ID"), value("ACCESS_KEY_SECRET")) {
        lines.push(format!("export LIKENESS_KEY={id}.{secret}"));
    }
    lines.join("\n") + "\n"
}

/// Replaces the file as a whole, readable by its owner only from its first moment.
fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let draft = path.with_extension("env.new");
    let write = || {
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(|error| failed(format!("cannot write {}: {error}", path.display())))
}

/// Something to paste into a second terminal, with names of photographs that stand for the user's.
fn example(env_file: &Path) -> String {
    format!(
        r#"; in a second terminal, with photographs of yours:

  . {}
  api() {{ curl -s -H "Authorization: Bearer $LIKENESS_KEY" "$@"; echo; }}
  api "$LIKENESS_URL/likeness/v1/face-sets" -H 'Content-Type: application/json' -d '{{"name": "lobby"}}'
  api "$LIKENESS_URL/likeness/v1/face-sets/lobby/faces" -F image=@anna.jpg -F subject=anna
  api "$LIKENESS_URL/likeness/v1/face-sets/lobby/faces" -F image=@bert.jpg -F subject=bert
  api "$LIKENESS_URL/likeness/v1/face-sets/lobby/search" -F image=@anna-again.jpg -F far=1e-4

The README has the same, and an example with a cloud's own SDK.
"#,
        shell_quoted(&env_file.to_string_lossy())
    )
}

/// A path as one word of a shell. `.` looks names without a slash up elsewhere, so one is put in front.
fn shell_quoted(path: &str) -> String {
    let path = if path.contains('/') { path.to_owned() } else { format!("./{path}") };
    if path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+=:@%".contains(&byte)) {
        return path;
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{refreshed, shell_quoted};

    #[test]
    fn an_earlier_file_gets_the_new_address_and_the_key_in_one_piece() {
        let earlier = "export LIKENESS_URL=http://127.0.0.1:1\n\
             export LIKENESS_ACCESS_KEY_ID=abc\n\
             export LIKENESS_ACCESS_KEY_SECRET=def\n";
        let file = Path::new("/srv/my faces/quickstart.env");
        let now = refreshed(earlier, "http://127.0.0.1:2", file);
        assert_eq!(
            now,
            "export LIKENESS_URL=http://127.0.0.1:2\n\
             export LIKENESS_DATA='/srv/my faces'\n\
             export LIKENESS_ACCESS_KEY_ID=abc\n\
             export LIKENESS_ACCESS_KEY_SECRET=def\n\
             export LIKENESS_KEY=abc.def\n"
        );
        assert_eq!(refreshed(&now, "http://127.0.0.1:2", file), now, "nothing is added twice");
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(shell_quoted("./data/quickstart.env"), "./data/quickstart.env");
        assert_eq!(shell_quoted("quickstart.env"), "./quickstart.env");
        assert_eq!(shell_quoted("/my data/it's $HOME"), r"'/my data/it'\''s $HOME'");
    }
}
