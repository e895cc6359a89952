//! A network without anybody in it: lets one validator run the same engine, log and certificates
//! without a socket.

use arc_malachitebft_app_channel::{NetworkMsg as Publish, app::net::Multiaddr};
use arc_malachitebft_engine::network::{NetworkEvent, NetworkMsg, NetworkRef};
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, async_trait};
use tokio::sync::mpsc;

use crate::context::Grid;

/// Swallows what the engine publishes: its own votes it counts itself.
struct Solo;

/// Starts the actor.
pub(crate) async fn spawn() -> Result<(NetworkRef<Grid>, mpsc::Sender<Publish<Grid>>), SpawnErr> {
    let (actor, _) = Actor::spawn(None, Solo, ()).await?;
    // Nothing is published without a network, so nobody has to read this channel.
    let (publisher, _) = mpsc::channel(1);
    Ok((actor, publisher))
}

#[async_trait]
impl Actor for Solo {
    type Msg = NetworkMsg<Grid>;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        _arguments: (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        _state: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            // The engine waits for its network to listen before it starts the first height.
            NetworkMsg::Subscribe(subscriber) => {
                subscriber.send(NetworkEvent::Listening(Multiaddr::empty()));
            }
            NetworkMsg::DumpState(reply) => drop(reply.send(None)),
            _ => {}
        }
        Ok(())
    }
}
