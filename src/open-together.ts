interface Closable {
  close(): void;
}

/** Takes down what has been opened, and hands it on. */
type Keep = <Part extends Closable | undefined>(part: Part) => Part;

/**
 * Opens several things that are closed together. When one of them cannot be opened, those before it are closed.
 * @throws whatever `open` throws
 */
export function openTogether<Parts extends object>(open: (keep: Keep) => Parts): Parts & Closable {
  const opened: Closable[] = [];
  const close = () => {
    for (const part of opened) part.close();
  };
  const keep: Keep = (part) => {
    if (part !== undefined) opened.push(part);
    return part;
  };
  try {
    return { ...open(keep), close };
  } catch (error) {
    close();
    throw error;
  }
}
