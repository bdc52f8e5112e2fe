// Light, dark or what the system says. Loaded before the page is drawn, so that nothing flashes.
(() => {
  const key = "crowdmesh-theme";
  const root = document.documentElement;
  const read = () => {
    try {
      return localStorage.getItem(key) ?? "";
    } catch {
      return ""; // storage may be forbidden
    }
  };
  const apply = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  apply(read());
  root.classList.add("scripted");

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => {
      button.querySelector(".theme__text").textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
    };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      apply(theme);
      try {
        localStorage.setItem(key, theme);
      } catch {
        // It holds for this page at least.
      }
      name();
      document.dispatchEvent(new CustomEvent("theme"));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      name();
      document.dispatchEvent(new CustomEvent("theme"));
    });
  });
})();
