//! How far something is, on stderr, for whoever looks at a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two pictures of what has no number.
const PICTURE_EVERY: Duration = Duration::from_millis(120);

/// A line that is drawn over and over; nothing at all where nobody looks, or where the answer is for scripts.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of what is called `name`, in `unit` (`bytes` are told in KiB and MiB).
    pub(crate) fn begin(name: &str, unit: &str, is_for_scripts: bool) -> Self {
        let bar = ProgressBar::no_length();
        if is_for_scripts || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let figures = match unit {
            "bytes" => "{binary_bytes} of about {binary_total_bytes}".to_owned(),
            unit => format!("{{pos}} of {{len}} {unit}"),
        };
        // Both are written here and known to be well-formed.
        let style = ProgressStyle::with_template(&format!("{{spinner}} {{prefix}} {{bar:20}} {figures}, {{msg}}, {{eta}} left"));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ "));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(PICTURE_EVERY);
        Self { bar }
    }

    /// So much of about so much is done, and how it goes, in words.
    pub(crate) fn show(&self, done: u64, about: u64, words: String) {
        self.bar.set_length(about.max(done).max(1));
        self.bar.set_position(done);
        self.bar.set_message(words);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
