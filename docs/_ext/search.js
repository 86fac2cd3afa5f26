// Rank the pages of a search: by how many of the words they hold, rare words and words of titles first.
// Sphinx' own search wants every word of a question, and ranks alike all pages that hold them.
"use strict";

var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 2,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 40,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};

// guides answer questions; what lists names of everything matches everything
const WEIGHTS = { "how-to/": 1.3, "backends/": 1.3, "cookbook/": 1.3, "reference/api/": 0.5, "explanation/architecture": 0.4, index: 0.3 };

const weightOf = (name) =>
  Object.entries(WEIGHTS).find(([start]) => name.startsWith(start))?.[1] ?? 1;

const rankPages = (words, excluded) => {
  const index = Search._index;
  const count = index.docnames.length;
  const list = (files) => (files === undefined ? [] : [].concat(files));
  // Object.hasOwn: "constructor" is a word that people search for
  const exact = (table, word) => (Object.hasOwn(table, word) ? list(table[word]) : []);
  const containing = (table, word) =>
    Object.keys(table).flatMap((term) => (term.includes(word) ? list(table[term]) : []));
  const pagesOf = (table, word) => {
    const pages = exact(table, word);
    return new Set(pages.length || word.length < 3 ? pages : containing(table, word));
  };

  const scores = new Array(count).fill(0);
  const matches = new Array(count).fill(0);
  let asked = 0;
  words.forEach((word) => {
    const text = pagesOf(index.terms, word);
    const headings = pagesOf(index.titleterms, word);
    const pages = new Set([...text, ...headings]);
    if (!pages.size) return;
    asked += 1;
    const rarity = Math.log(1 + count / pages.size);
    pages.forEach((page) => {
      const inTitle = index.titles[page].toLowerCase().includes(word);
      matches[page] += 1;
      scores[page] += rarity * (inTitle ? 6 : headings.has(page) ? 3 : 1);
    });
  });

  const banned = new Set([...excluded].flatMap((word) => [...pagesOf(index.terms, word)]));
  return index.docnames
    .map((name, page) => [
      name,
      index.titles[page],
      "",
      null,
      weightOf(name) * scores[page] * (matches[page] / asked) ** 2,
      index.filenames[page],
      SearchResultKind.text,
    ])
    .filter((_, page) => asked && 2 * matches[page] >= asked)
    .filter((_, page) => !banned.has(page));
};

// furo loads this after searchtools.js, which starts to search when the page is loaded
Search.performTermsSearch = rankPages;
