//! Events as they happen, for pages and `pangaea watch`: server-sent events, one [`EventView`] each.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::sync::watch;

use super::Admin;
use super::view::{EventView, Snapshot};

/// Most events sent at once to a page that comes late.
const EVENTS_AT_ONCE_MAX: usize = 1_024;

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<u64>,
}

pub(super) async fn tell(
    State(admin): State<Admin>,
    Query(query): Query<After>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let after = last.or(query.after).unwrap_or(0);
    Sse::new(stream_events(admin.shown, after)).keep_alive(KeepAlive::default())
}

/// Events above `after`, then each new one as it is published.
fn stream_events(shown: watch::Receiver<Arc<Snapshot>>, after: u64) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((shown, after, Vec::<EventView>::new()), |(mut shown, mut after, mut pending)| async move {
        while pending.is_empty() {
            let snapshot = shown.borrow_and_update().clone();
            // A number from the future is another world's, whose clock was ahead: start over.
            if snapshot.events.last().is_some_and(|last| last.seq < after) {
                after = 0;
            }
            pending.extend(snapshot.events.iter().filter(|event| event.seq > after).cloned());
            pending.drain(..pending.len().saturating_sub(EVENTS_AT_ONCE_MAX));
            // Popped from the end.
            pending.reverse();
            if pending.is_empty() && shown.changed().await.is_err() {
                return None;
            }
        }
        let next = pending.pop()?;
        after = next.seq;
        let event = Event::default().id(next.seq.to_string()).event("event").json_data(&next).unwrap_or_default();
        Some((Ok(event), (shown, after, pending)))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn events_continue_where_the_page_left_off() {
        let (show, shown) = watch::channel(Arc::new(Snapshot::default()));
        let event = |seq| EventView { seq, ..EventView::default() };
        show.send_replace(Arc::new(Snapshot { events: vec![event(4), event(5), event(6)], ..Snapshot::default() }));
        let stream = stream_events(shown, 4);
        let told: Vec<_> = stream.take(2).map(|event| format!("{:?}", event.expect("infallible"))).collect().await;
        assert!(told[0].contains("5") && told[1].contains("6"), "{told:?}");
    }

    #[tokio::test]
    async fn a_page_that_heard_a_later_world_starts_over() {
        let (show, shown) = watch::channel(Arc::new(Snapshot::default()));
        show.send_replace(Arc::new(Snapshot {
            events: vec![EventView { seq: 4, ..EventView::default() }],
            ..Snapshot::default()
        }));
        let told: Vec<_> = stream_events(shown, 900).take(1).collect().await;
        assert!(format!("{told:?}").contains('4'), "{told:?}");
    }
}
