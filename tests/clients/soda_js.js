// Runs steps with the client soda-js: [{role, dataset, calls: [[method, ...arguments], ...]}, ...] on standard input,
// [[event, body, status], ...] on standard output.
'use strict';
const soda = require(`${process.env.CTNB_NODE_CLIENTS}/soda-js`);
const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));

const valued = (argument) =>
  argument && argument.call ? soda.expr[argument.call](...argument.arguments) : argument;

function done(step) {
  const begun = step.role === 'producer'
    ? new soda.Producer(given.site, { username: given.username, password: given.password }).operation()
    : new soda.Consumer(given.site, { apiToken: given.token }).query();
  let chain = begun.withDataset(step.dataset);
  for (const [method, ...rest] of step.calls) chain = chain[method](...rest.map(valued));
  return new Promise((resolve) => {
    let said;
    for (const event of ['success', 'error']) chain.on(event, (body) => { said = [event, body]; });
    chain.on('complete', (response) => resolve([...said, response.status]));
  });
}

(async () => {
  const found = [];
  for (const step of given.steps) found.push(await done(step));
  process.stdout.write(JSON.stringify(found));
})();
