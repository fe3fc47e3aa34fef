//! Orders to a cluster on this machine that its world cannot carry out: start scenes of another build, stop scenes.
//!
//! `pangaea up` listens on a socket in the data folder, which nobody but the same user may write to. One order per connection,
//! one line of JSON each way.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The socket's name in the data folder.
const SOCKET: &str = "up.sock";
/// Longest order or answer in bytes.
const LINE_BYTES_MAX: u64 = 16 * 1_024;
/// Whoever rings has said what he wants by then.
const ASK_TIME_MAX: Duration = Duration::from_secs(2);
/// The answer is there by then: a scene that must be killed takes its grace.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// What is wanted of `pangaea up`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpOrder {
    /// Start scenes of another build; answered with their names.
    Start {
        /// The build's executable.
        program: PathBuf,
        /// How many.
        scenes: u16,
    },
    /// Stop these scenes for good; answered with the names of those that ran.
    Stop {
        /// Such as `scene-1`.
        scenes: Vec<String>,
    },
}

impl UpOrder {
    /// What was done, for the person at the terminal.
    pub(super) fn done(&self) -> String {
        match self {
            Self::Start { program, .. } => format!("started of {}", program.display()),
            Self::Stop { .. } => "stopped for good".to_owned(),
        }
    }
}

/// The names, or why not.
pub type UpAnswer = Result<Vec<String>, String>;

/// The listening side.
pub(super) struct Doorbell {
    listener: UnixListener,
    path: PathBuf,
}

impl Doorbell {
    /// Listen in this folder, which only one cluster uses at a time.
    ///
    /// # Errors
    /// The socket cannot be made there.
    pub(super) fn hang(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(SOCKET);
        // Of a former run that was killed.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
        let only_ours = std::fs::set_permissions(&path, Permissions::from_mode(0o600));
        only_ours.with_context(|| format!("cannot keep others away from {}", path.display()))?;
        Ok(Self { listener, path })
    }

    /// The next order, and where its answer goes. Who says nothing, or nonsense, is told so and forgotten.
    pub(super) async fn rung(&self) -> (UpOrder, Caller) {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(ASK_TIME_MAX).await;
                continue;
            };
            let Ok(Ok(line)) = tokio::time::timeout(ASK_TIME_MAX, read_line(&mut stream)).await else { continue };
            match serde_json::from_slice(&line) {
                Ok(order) => return (order, Caller(stream)),
                Err(error) => Caller(stream).answer(Err(format!("this is no order: {error}"))).await,
            }
        }
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Who waits for an answer.
pub(super) struct Caller(UnixStream);

impl Caller {
    /// Tell him. He may be gone.
    pub(super) async fn answer(mut self, answer: UpAnswer) {
        let mut line = serde_json::to_vec(&answer).unwrap_or_default();
        line.push(b'\n');
        let _ = tokio::time::timeout(ASK_TIME_MAX, self.0.write_all(&line)).await;
    }
}

/// Order something of the `pangaea up` that uses this data folder.
///
/// # Errors
/// There is none, or it refuses; the text has its words.
pub async fn ring(folder: &Path, order: &UpOrder) -> anyhow::Result<Vec<String>> {
    let path = folder.join(SOCKET);
    let stream = UnixStream::connect(&path).await;
    let mut stream = stream.with_context(|| {
        format!(
            "no `pangaea up` of this build listens on {}: name the folder of a cluster that runs on this machine with --data-dir",
            path.display()
        )
    })?;
    let mut line = serde_json::to_vec(order)?;
    ensure!(line.len() as u64 <= LINE_BYTES_MAX, "an order of more than {LINE_BYTES_MAX} bytes");
    line.push(b'\n');
    stream.write_all(&line).await.with_context(|| format!("{} went away", path.display()))?;
    let answer = tokio::time::timeout(ANSWER_TIME_MAX, read_line(&mut stream)).await;
    let answer = answer.with_context(|| format!("no answer within {} s", ANSWER_TIME_MAX.as_secs()))??;
    match serde_json::from_slice::<UpAnswer>(&answer).context("`pangaea up` is of another build: its answer is not understood")? {
        Ok(names) => Ok(names),
        Err(words) => bail!("{words}"),
    }
}

async fn read_line(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line).await?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_order_is_heard_and_its_answer_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let bell = Doorbell::hang(folder.path()).expect("hung");
        let order = UpOrder::Start { program: "/a build".into(), scenes: 2 };
        let answers: [UpAnswer; 2] = [Ok(vec!["scene-3".to_owned()]), Err("no more".to_owned())];
        let serve = async {
            for answer in answers {
                let (heard, caller) = bell.rung().await;
                assert_eq!(heard, order);
                caller.answer(answer).await;
            }
        };
        let ask = async {
            assert_eq!(ring(folder.path(), &order).await.expect("answered"), ["scene-3"]);
            assert_eq!(ring(folder.path(), &order).await.expect_err("refused").to_string(), "no more");
        };
        tokio::join!(serve, ask);
    }

    #[tokio::test]
    async fn nonsense_is_told_and_hurts_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let bell = Doorbell::hang(folder.path()).expect("hung");
        let order = UpOrder::Stop { scenes: vec!["scene-1".to_owned()] };
        let ask = async {
            let mut stream = UnixStream::connect(folder.path().join(SOCKET)).await.expect("connected");
            stream.write_all(b"open the door\n").await.expect("sent");
            let answer = read_line(&mut stream).await.expect("an answer");
            assert!(String::from_utf8_lossy(&answer).contains("this is no order"));
            drop(UnixStream::connect(folder.path().join(SOCKET)).await.expect("connected"));
            ring(folder.path(), &order).await.expect("answered")
        };
        let serve = async {
            let (heard, caller) = bell.rung().await;
            caller.answer(Ok(vec![format!("{heard:?}")])).await;
        };
        assert_eq!(tokio::join!(serve, ask).1, [format!("{order:?}")]);
    }

    #[tokio::test]
    async fn who_rings_where_nobody_is_hears_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = ring(folder.path(), &UpOrder::Stop { scenes: Vec::new() }).await.expect_err("nobody");
        assert!(format!("{error:#}").contains("--data-dir"), "{error:#}");
    }
}
