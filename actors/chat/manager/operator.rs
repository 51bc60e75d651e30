//! What the keeper of a chat's rooms does for its operators.
//!
//! An operator's order is heard by those whom it concerns, with the operator's name: nobody is silenced in secret.
//! Who is muted or banned comes to that only as a member or an address: a mute ends with the member's session.

use std::net::IpAddr;

use crate::actors::SessionMessage;
use crate::actors::chat::manager::RoomManager;
use crate::actors::chat::manager::queries::truncated_list;
use crate::actors::chat::registry::directory::{Directory, Member};
use crate::runtime::Clock;
use crate::wire::chat::operator_command::{OperatorCommand, parse};
use crate::wire::text::escape;

impl RoomManager {
    /// Does what an operator orders: a member, or whoever is at the server's own terminal.
    pub(crate) fn run_operator_command(
        &self,
        by: Option<u64>,
        line: &str,
        clock: &Clock,
    ) -> Result<String, String> {
        let order = parse(line).ok_or("that is no order")??;
        let mut book = self.registry.directory();
        let by = by.and_then(|id| book.members.get(&id)).map(|member| member.nick.to_string());
        let by = by.unwrap_or_else(|| "the operator".into());
        match order {
            OperatorCommand::Members => Ok(list_members(&book)),
            OperatorCommand::Bans => {
                let bans = self.bans.addresses();
                let count = bans.len();
                Ok(format!("banned: {}", truncated_list(bans.iter().map(IpAddr::to_string), count)))
            }
            OperatorCommand::Kick(nick, why) => {
                let (id, member) = find_member_with_id(&mut book, nick)?;
                let why = match escape(why) {
                    none if none.is_empty() => format!("kicked by {by}"),
                    why => format!("kicked by {by}: {why}"),
                };
                close_session(member, &why)?;
                let nick = member.nick.clone();
                publish_notice(&book, Some(id), &format!("{nick} was {why}"), clock);
                Ok(format!("{nick} is kicked"))
            }
            OperatorCommand::Mute(nick) => self.set_muted(find_member(&mut book, nick)?, true, &by),
            OperatorCommand::Unmute(nick) => {
                self.set_muted(find_member(&mut book, nick)?, false, &by)
            }
            OperatorCommand::Ban(who) => self.ban(&mut book, who, &by),
            OperatorCommand::Unban(address) => {
                let address: IpAddr = address
                    .parse()
                    .map_err(|_| format!("{} is no address; /bans lists them", escape(address)))?;
                match self.bans.remove(address) {
                    true => Ok(format!("{address} may come again")),
                    false => Err(format!("{address} is not banned; /bans lists who is")),
                }
            }
            OperatorCommand::Announce(text) => {
                publish_notice(&book, None, &format!("{by} announces: {}", escape(text)), clock);
                Ok("it is announced".into())
            }
        }
    }

    fn set_muted(&self, member: &mut Member, muted: bool, by: &str) -> Result<String, String> {
        member.muted = muted;
        let (nick, told) = match muted {
            true => (&member.nick, format!("* {by} has muted you; nobody hears what you say\n")),
            false => (&member.nick, format!("* {by} has unmuted you; you are heard again\n")),
        };
        if let (Some(session), false) = (&member.session, member.quiet) {
            // Whoever has too much to read finds out at its next word.
            let _ = session.try_send(SessionMessage::Notice(told));
        }
        Ok(format!("{nick} is {}", if muted { "muted" } else { "heard again" }))
    }

    fn ban(&self, book: &mut Directory, who: &str, by: &str) -> Result<String, String> {
        let address = match who.parse() {
            Ok(address) => address,
            Err(_) => {
                let (_, member) = find_member_with_id(book, who)?;
                let unknown = || format!("{} has no address to ban; /kick it", member.nick);
                member.ip.ok_or_else(unknown)?
            }
        };
        self.bans.add(address)?;
        let why = format!("banned by {by}");
        let from_there =
            |member: &&Member| member.ip.is_some_and(|address| self.bans.contains(address));
        let ended =
            book.members.values().filter(from_there).filter(|m| close_session(m, &why).is_ok());
        Ok(format!("{address} is banned; {} of its sessions are ended", ended.count()))
    }
}

fn find_member_with_id<'a>(
    book: &'a mut Directory,
    nick: &str,
) -> Result<(u64, &'a mut Member), String> {
    let id = book.find_by_nick(nick);
    id.and_then(|id| Some((id, book.members.get_mut(&id)?)))
        .ok_or_else(|| format!("there is nobody called {}; /members lists everybody", escape(nick)))
}

fn find_member<'a>(book: &'a mut Directory, nick: &str) -> Result<&'a mut Member, String> {
    find_member_with_id(book, nick).map(|(_, member)| member)
}

/// Has a member's session end.
fn close_session(member: &Member, why: &str) -> Result<(), String> {
    let session = member.session.as_ref();
    let told = session.map(|session| session.try_send(SessionMessage::Close(why.into())));
    match told {
        Some(Ok(())) => Ok(()),
        _ => Err(format!("{} cannot be reached at the moment; try again", member.nick)),
    }
}

/// Has a member's room hear a notice, or all rooms.
fn publish_notice(book: &Directory, in_room_of: Option<u64>, notice: &str, clock: &Clock) {
    let one = in_room_of.map(|id| book.member_and_room(id).map(|(_, room)| room));
    for room in book.rooms.values() {
        if one.is_none_or(|one| one.is_some_and(|one| one.name == room.name)) {
            drop(room.log.publish(None, format!("* {notice}\n"), clock.system_time()));
        }
    }
}

fn list_members(book: &Directory) -> String {
    let each = book.members.values().map(|member| {
        let room = member.room_key.as_deref().unwrap_or("no room");
        let address = member.ip.map_or("no address".into(), |address| address.to_string());
        let muted = if member.muted { ", muted" } else { "" };
        format!("{} ({room}, {address}{muted})", member.nick)
    });
    format!("members: {}", truncated_list(each, book.members.len()))
}
