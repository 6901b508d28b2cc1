// A login, a page and a logout, with the vault as session store. The store is used as it is published.
// VAULT_URL and VAULT_TOKEN say where the vault is, UUIDS=1 takes ids as the store's own example makes them.
const crypto = require('node:crypto');
const express = require('express');
const session = require('express-session');
const DataBunkerSessionStore = require('@databunker/session-store')(session);

const app = express();
app.use(express.json());
app.use(session({
  ...(process.env.UUIDS ? { genid: () => crypto.randomUUID() } : {}),
  secret: crypto.randomBytes(32).toString('hex'),
  resave: false,
  saveUninitialized: false,
  cookie: { maxAge: 30 * 60 * 1000 },
  store: new DataBunkerSessionStore({ url: process.env.VAULT_URL + '/', token: process.env.VAULT_TOKEN }),
}));

app.post('/login', (req, res, next) => {
  req.session.regenerate((error) => {
    if (error) return next(error);
    Object.assign(req.session, { userToken: req.body.userToken, role: req.body.role, seen: 0 });
    req.session.save((failed) => (failed ? next(failed) : res.json({ id: req.sessionID })));
  });
});

app.get('/me', (req, res) => {
  if (!req.session.userToken) return res.status(401).json({});
  req.session.seen += 1;
  const { userToken, role, seen } = req.session;
  res.json({ userToken, role, seen });
});

app.post('/logout', (req, res, next) => {
  req.session.destroy((error) => (error ? next(error) : res.json({})));
});

const server = app.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
