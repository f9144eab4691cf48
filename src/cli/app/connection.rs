//! Which server, and as whom: options, then the environment, then the ready file of `consentry dev`.

use std::fs;
use std::path::Path;

use clap::Args;

use crate::cli::Failure;
use crate::cli::api::Api;
use crate::demo::ready::Ready;
use crate::token::random::Secret;

#[derive(Args)]
pub(super) struct Connection {
    /// The control plane's address; that of the ready file unless given
    #[arg(long, value_name = "URL", env = "CONSENTRY_SERVER", global = true)]
    server: Option<String>,
    /// An administrator's API token; that of the ready file unless given
    // One token of sixty-four begins with a hyphen, and is no option.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "CONSENTRY_TOKEN",
        hide_env_values = true,
        global = true,
        allow_hyphen_values = true
    )]
    token: Option<String>,
    /// The account, by alias, whose token of the ready file is used; the first unless given
    #[arg(long, value_name = "ALIAS", global = true)]
    account: Option<String>,
    /// The file that `consentry dev --ready-file` writes
    #[arg(long, value_name = "FILE", default_value = ".consentry/ready.json", global = true)]
    ready_file: String,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The API that is meant.
    pub(super) fn open(&self) -> Result<Api, Failure> {
        if let (Some(server), Some(token), None) = (&self.server, &self.token, &self.account) {
            return Api::new(server, Secret::new(token.clone()));
        }
        let ready = read(Path::new(&self.ready_file))?;
        let server = self.server.as_deref().unwrap_or(&ready.issuer);
        let token = match (&self.token, &self.account) {
            (Some(token), None) => token.clone(),
            (Some(_), Some(_)) => {
                return Err(Failure::Usage("give --token or --account, not both".to_owned()));
            }
            (None, alias) => token_of(&ready, alias.as_deref())?,
        };
        if self.token.is_none() && server.trim_end_matches('/') != ready.issuer {
            return Err(Failure::Usage(format!(
                "the token of {} is for {}, not for {server}; give --token or CONSENTRY_TOKEN",
                self.ready_file, ready.issuer
            )));
        }
        Api::new(server, Secret::new(token))
    }
}

fn read(path: &Path) -> Result<Ready, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "no server and token are known: {} cannot be read ({error}). Give --server and --token (or \
             CONSENTRY_SERVER and CONSENTRY_TOKEN), or --ready-file.",
            path.display()
        ))
    })?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Invalid(format!("{} is not a ready file: {error}", path.display())))
}

fn token_of(ready: &Ready, alias: Option<&str>) -> Result<String, Failure> {
    let found = ready.accounts.iter().find(|account| alias.is_none_or(|alias| account.alias == alias));
    found.map(|account| account.api_token.clone()).ok_or_else(|| {
        let known: Vec<&str> = ready.accounts.iter().map(|account| account.alias.as_str()).collect();
        Failure::Usage(format!("the ready file knows no such account; it knows {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Connection;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        connection: Connection,
    }

    #[test]
    fn a_token_is_taken_whatever_it_begins_with() {
        for token in ["kPrK_qmxVW", "-hPrK_qmxVW", "--server"] {
            let line = Line::try_parse_from(["app", "--token", token]).unwrap();
            assert_eq!(line.connection.token.as_deref(), Some(token));
        }
    }
}
