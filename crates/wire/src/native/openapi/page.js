// Draws openapi.json. Everything is put in as text, never as markup.
'use strict';

const make = (name, text, attributes = {}) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

const resolved = (api, schema) => {
  if (!schema || !schema.$ref) return schema || {};
  return { ...api.components.schemas[schema.$ref.split('/').pop()], name: schema.$ref.split('/').pop() };
};

const typeOf = (api, schema) => {
  if (!schema || typeof schema !== 'object') return 'any';
  if (schema.$ref) return schema.$ref.split('/').pop();
  if (schema.type === 'array') return `list of ${typeOf(api, schema.items)}`;
  if (schema.oneOf || schema.anyOf) return (schema.oneOf || schema.anyOf).map((one) => typeOf(api, one)).join(' or ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.join(', ');
  return [].concat(schema.type || 'any').join(' or ');
};

const table = (api, heading, rows) => {
  const box = document.createDocumentFragment();
  if (!rows.length) return box;
  box.append(make('h3', heading));
  const grid = make('table');
  for (const [name, type, about, required] of rows) {
    const row = make('tr');
    const first = make('td');
    first.append(make('code', name));
    if (required) first.append(make('span', ' required', { class: 'dim' }));
    row.append(first, make('td', type, { class: 'dim' }), make('td', about || ''));
    grid.append(row);
  }
  box.append(grid);
  return box;
};

const membersOf = (api, schema) => {
  const whole = resolved(api, schema);
  if (whole.oneOf) return whole.oneOf.flatMap((one) => membersOf(api, one).map(([name, type, about]) => [name, type, about, false]));
  const required = new Set(whole.required || []);
  return Object.entries(whole.properties || {}).map(([name, member]) => [
    name, typeOf(api, member), member.description || resolved(api, member).description, required.has(name),
  ]);
};

const example = (heading, value) => {
  const box = document.createDocumentFragment();
  if (value === undefined || value === null) return box;
  box.append(make('h3', heading), make('pre', JSON.stringify(value, null, 2)));
  return box;
};

const draw = (api) => {
  document.getElementById('about').textContent = `${api.info.description} Version ${api.info.version}.`;
  const contents = document.getElementById('contents');
  const main = document.getElementById('operations');
  main.textContent = '';
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const title = `${method.toUpperCase()} ${path}`;
      contents.append(make('a', title, { href: `#${operation.operationId}` }));
      const section = make('section', undefined, { id: operation.operationId });
      const heading = make('h2');
      heading.append(make('span', method.toUpperCase(), { class: 'method' }), make('code', path));
      section.append(heading, make('p', `${operation.summary}. ${operation.description}`));
      const parameters = (operation.parameters || []).map((one) => [
        one.name, `${one.in}, ${typeOf(api, one.schema)}`, one.description, one.required,
      ]);
      section.append(table(api, 'Parameters', parameters));
      const withImage = (operation['x-with-raw-image'] || []).map((one) => [one.name, `${one.in}, ${typeOf(api, one.schema)}`, '', false]);
      section.append(table(api, 'Parameters with a raw image', withImage));
      const content = operation.requestBody && operation.requestBody.content;
      if (content) {
        const body = content['application/json'] || content['application/octet-stream'];
        section.append(make('p', `Body: ${Object.keys(content).join(', ')}.`, { class: 'dim' }));
        section.append(table(api, 'Members of the body', membersOf(api, body.schema)), example('Example of a body', body.example));
      }
      const [status, answer] = Object.entries(operation.responses).find(([code]) => code.startsWith('2'));
      const given = answer.content['application/json'] || Object.values(answer.content)[0];
      section.append(table(api, `Answer ${status}`, membersOf(api, given.schema)), example('Example of an answer', given.example));
      main.append(section);
    }
  }
  contents.append(make('a', 'Errors', { href: '#errors' }));
  document.getElementById('find').addEventListener('input', (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const section of main.children) {
      const text = section.textContent.toLowerCase();
      const link = contents.querySelector(`a[href="#${section.id}"]`);
      section.hidden = link.hidden = !words.every((word) => text.includes(word));
    }
  });
  const wanted = location.hash && document.getElementById(location.hash.slice(1));
  if (wanted) wanted.scrollIntoView();
};

fetch('openapi.json')
  .then((answer) => answer.json())
  .then(draw)
  .catch((error) => {
    document.getElementById('operations').textContent = `The description could not be read: ${error}`;
  });
