//! The passwords that a user gives, so that rules can tell which part of credentials is wrong.

use crate::sip::Secret;
use std::collections::HashMap;

/// Accounts: user name, realm, secret.
#[derive(Clone, Debug, Default)]
pub struct Passwords {
    accounts: Vec<Account>,
    of_user: HashMap<Box<[u8]>, Vec<usize>>,
}

/// What one line of the file says.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) user: Box<[u8]>,
    /// `None` is any realm.
    pub(super) realm: Option<Box<[u8]>>,
    pub(super) secret: Secret,
}

/// A line of a password file that cannot be understood. It does not repeat the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Passwords {
    /// Reads lines `user realm password` or `user realm ha1:HEX`. The realm `*` is any realm. A value
    /// with spaces or a leading `#` or `ha1:` stands in double quotes, and a backslash takes the
    /// next character as it is; only the password may have spaces without them. Empty lines and lines that
    /// begin with `#` say nothing.
    pub fn parse(text: &[u8]) -> Result<Self, BadLine> {
        let mut passwords = Self::default();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let added = account(line).and_then(|account| passwords.add(account));
            added.map_err(|why| BadLine { line: at + 1, why })?;
        }
        Ok(passwords)
    }

    fn add(&mut self, account: Account) -> Result<(), &'static str> {
        let known = self.of_user.entry(account.user.clone()).or_default();
        if known.iter().any(|at| self.accounts[*at].realm == account.realm) {
            return Err("this user and realm stand in an earlier line");
        }
        known.push(self.accounts.len());
        self.accounts.push(account);
        Ok(())
    }

    /// Whether no password is known.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Every account.
    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The accounts of a user, whatever their realm.
    pub(super) fn of(&self, user: &[u8]) -> impl Iterator<Item = &Account> {
        self.of_user.get(user).into_iter().flatten().map(|at| &self.accounts[*at])
    }

    /// The account of a user in a realm: the one for just this realm, else the one for any.
    pub(super) fn find(&self, user: &[u8], realm: &[u8]) -> Option<&Account> {
        let fits = |account: &&Account| account.realm.as_deref() == Some(realm);
        self.of(user).find(fits).or_else(|| self.of(user).find(|account| account.realm.is_none()))
    }
}

fn account(line: &[u8]) -> Result<Account, &'static str> {
    const EXPECTED: &str = "expected 'user realm password' or 'user realm ha1:HEX'";
    let (user, rest) = value(line)?;
    let realm_is_quoted = rest.starts_with(b"\"");
    let (realm, rest) = value(rest)?;
    if user.is_empty() || rest.is_empty() {
        return Err(EXPECTED);
    }
    let realm = (realm_is_quoted || realm != b"*").then(|| realm.into());
    let secret = if rest.starts_with(b"\"") {
        let (password, rest) = value(rest)?;
        if !rest.is_empty() {
            return Err("something follows the quoted password");
        }
        Secret::Password(password.into())
    } else {
        match rest.strip_prefix(b"ha1:") {
            Some(hex) => ha1(hex)?,
            None => Secret::Password(rest.into()),
        }
    };
    Ok(Account { user: user.into(), realm, secret })
}

fn ha1(hex: &[u8]) -> Result<Secret, &'static str> {
    let digits = std::str::from_utf8(hex).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let digits = digits.filter(|text| matches!(text.len(), 32 | 64));
    digits.map(|text| Secret::Ha1(text.into())).ok_or("after ha1: must stand 32 (MD5) or 64 (SHA) hexadecimal digits")
}

/// The first value of `input`, quoted or up to white space, and what follows it.
fn value(input: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    let Some(quoted) = input.strip_prefix(b"\"") else {
        let end = input.iter().position(u8::is_ascii_whitespace).unwrap_or(input.len());
        return Ok((input[..end].to_vec(), input[end..].trim_ascii_start()));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok((value, quoted[at + 1..].trim_ascii_start())),
            b'\\' => value.extend(bytes.next().map(|(_, byte)| *byte)),
            _ => value.push(*byte),
        }
    }
    Err("a quote is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret<'a>(passwords: &'a Passwords, user: &str, realm: &str) -> Option<&'a Secret> {
        passwords.find(user.as_bytes(), realm.as_bytes()).map(|account| &account.secret)
    }

    fn password(text: &str) -> Secret {
        Secret::Password(text.as_bytes().into())
    }

    #[test]
    fn the_realm_decides_and_any_realm_is_last() {
        let text = b"\xef\xbb\xbf# accounts\r\nbob * first one\r\n\n  bob\tx.example  second#\nbob \"My \\\"Realm\" \" \\\\\"\n\
            eve \"*\" \"\"\nann * ha1:939E7578ED9E3C518A452ACEE763BCE9\n";
        let passwords = Passwords::parse(text).unwrap();
        assert_eq!(secret(&passwords, "bob", "other"), Some(&password("first one")));
        assert_eq!(secret(&passwords, "bob", "x.example"), Some(&password("second#")));
        assert_eq!(secret(&passwords, "bob", "My \"Realm"), Some(&password(" \\")));
        assert_eq!(secret(&passwords, "eve", "*"), Some(&password("")));
        assert_eq!(secret(&passwords, "eve", "other"), None);
        assert_eq!(secret(&passwords, "ann", "y"), Some(&Secret::Ha1("939E7578ED9E3C518A452ACEE763BCE9".into())));
        assert_eq!((passwords.accounts().len(), passwords.is_empty()), (5, false));
    }

    #[test]
    fn a_mistake_names_its_line_and_not_what_stands_there() {
        let line = |text: &str| Passwords::parse(text.as_bytes()).unwrap_err().line;
        assert_eq!(line("bob x secret\nbob x"), 2);
        assert_eq!(line("bob x secret\nbob x other"), 2);
        assert_eq!(line("\n# x\nbob x ha1:1234"), 3);
        assert_eq!(line("bob \"x secret"), 1);
        assert_eq!(line("bob x \"secret\" more"), 1);
        assert_eq!(line("\"\" x secret"), 1);
    }
}
