// biome-ignore lint/suspicious/noExplicitAny: nodes and paths of the Babel inside jiti, which has no types of its own
type Babel = any;

/**
 * Babel plugin: decorated fields as TypeScript makes them with `experimentalDecorators`. Babel's own transform of such fields
 * needs another plugin that jiti does not have, and a class with one failed when it was instantiated. Decorators are called
 * in a static block; the field is assigned, so that an accessor of a decorator sees it.
 */
export function decoratedFields({ types: t, template }: Babel): object {
  const decorate = template.statement(
    "for (const decorate of DECORATORS) { const made = decorate(TARGET, KEY, undefined); if (made) Object.defineProperty(TARGET, KEY, made); }",
    { placeholderPattern: /^(DECORATORS|TARGET|KEY)$/ },
  );
  return { visitor: { Program: (program: Babel) => program.traverse({ Class: rewrite }) } };

  function rewrite(path: Babel): void {
    const calls: unknown[] = [];
    for (const member of path.get("body.body")) {
      const { node } = member;
      if (!member.isClassProperty() || !node.decorators?.length || node.computed || node.declare) continue;
      const TARGET = node.static
        ? t.thisExpression()
        : t.memberExpression(t.thisExpression(), t.identifier("prototype"));
      const KEY = t.isIdentifier(node.key) ? t.stringLiteral(node.key.name) : node.key;
      const DECORATORS = t.arrayExpression(node.decorators.map(({ expression }: Babel) => expression).reverse());
      calls.push(decorate({ DECORATORS, TARGET, KEY }));
      node.decorators = null;
      node.definite = false;
      if (node.static) continue;
      if (node.value === null || node.value === undefined) member.remove();
      else member.replaceWith(assigned(KEY, node.value, calls.length));
    }
    if (calls.length > 0) path.get("body").pushContainer("body", t.staticBlock(calls));
  }

  /** A private field runs where the field stood, and holds nothing. */
  function assigned(key: unknown, value: unknown, index: number): unknown {
    const assignment = t.assignmentExpression("=", t.memberExpression(t.thisExpression(), key, true), value);
    return t.classPrivateProperty(
      t.privateName(t.identifier(`__field${index}`)),
      t.unaryExpression("void", assignment),
    );
  }
}
