"""How models say no in German, French, Spanish, Italian and Portuguese; for text without case and accents. Every gap is bounded."""

_GAP = r"[^.!?;\n]"

_DO_DE = (
    r"(?:helfen|weiterhelfen|behilflich|unterstutz\w+|beantworten|antworten|machen|tun|geben|nennen|erklaren|liefern|bereitstellen"
    r"|schreiben|verfassen|erstellen"
    r"|aussern|sagen|beschreiben|verraten|teilen|erfullen|nachkommen|entsprechen|mitmachen|anbieten|diskutieren|eingehen|zeigen"
    r"|fortfahren|fortsetzen|ubersetzen"
    r"|erzeugen|generieren|mitteilen|preisgeben|anleiten|bearbeiten|beteiligen|besprechen|herausgeben|gutheissen|dienen|formulieren"
    r"|erlautern|kommentieren|spekulieren"
    r"|weitergeben|ausfuhren|befolgen|entwerfen|spielen|empfehlen|wiedergeben|veroffentlichen|zitieren)"
)
_NOT_DE = r"\b(?:nicht(?! (?:oft genug|genug|umhin|nur|lange|mehr als))|keine?[nrsm]?|niemals|nichts|nie)\b"
GERMAN = (
    rf"\b(?:ich|wir|dieser assistent)\b(?: \w+){{0,3}}? ?(?:kann|konnen|darf|durfen|werde|werden|mochte|will"
    rf"|sollte)\b{_GAP}{{0,80}}?{_NOT_DE}{_GAP}{{0,80}}?\b{_DO_DE}\b",
    rf"\b(?:kann|konnen|darf|durfen|werde|werden|mochte|will) (?:ich|wir)\b{_GAP}{{0,80}}?{_NOT_DE}{_GAP}{{0,80}}?\b{_DO_DE}\b",
    r"\b(?:bin|sind|ware) (?:ich |wir )?(?:\w+ ){0,2}(?:nicht (?:in der lage|befugt|berechtigt|bereit|imstande|dafur da)|ausserstande)",
    rf"\b(?:ich|wir) (?:muss|mussen|mochte){_GAP}{{0,60}}?\b(?:ablehnen|verweigern|passen|absehen|verzichten)\b|\b(?:muss"
    rf"|mochte) ich{_GAP}{{0,60}}?\b(?:ablehnen|verweigern|passen|absehen)\b",
    r"\bich (?:lehne|verweigere|weigere)\b|\b(?:lehne|verweigere) ich\b|\bda(?:bei|ran)? (?:mache|helfe"
    r"|beteilige) ich\b.{0,20}\bnicht\b|\bohne mich\b",
    r"\b(?:verstosst|verstossen|verstiesse) gegen\b|\bgegen (?:meine|unsere|die) (?:\w+ )?(?:richtlinien|prinzipien|grundsatze|regeln"
    r"|werte|vorgaben)\b",
    r"\b(?:anfrage|bitte|wunsch|frage)\b.{0,30}\b(?:nicht|abgelehnt)\b ?(?:bearbeitet|beantwortet|erfullt|ausgefuhrt|nachgekommen"
    r"|nachkommen)?(?= |\.|$)(?<=t|n|d)",
    r"\b(?:das|so etwas|sowas|dies|hier|da) (?:mache|tue|schreibe|erklare|beantworte|verrate|unterstutze|werde"
    r"|kommentiere) ich (?:\w+ ){0,3}nicht\b",
    r"\bich (?:mache|helfe|schreibe|gebe|verrate|unterstutze|beantworte|erstelle|teile|beteilige)\b[^.!?\n]{0,50}?(?:\bnicht\b"
    r"|\bkeine[nrsm]?\b)(?! nur)",
    r"\b(?:ist|ware) (?:es )?mir (?:\w+ ){0,2}(?:nicht (?:moglich|erlaubt|gestattet)|untersagt|unmoglich)"
    r"|\bkommt (?:fur mich )?nicht in ?frage\b",
    r"\b(?:helf|mach|schreib|sag|geb|erklar|verrat|unterstutz|beantwort|nenn|liefer|beteilig)e? ich\b[^.!?\n]{0,30}?\b(?:nicht"
    r"|keine\w*|nichts)\b|\bvon mir (?:\w+ )?(?:nicht|keine\w*|nichts)\b",
    r"\bdaruber (?:spreche|rede|diskutiere) ich nicht\b|\blass(?:t|en sie)? uns (?:uber etwas anderes|das thema)|\bauf keinen fall[.!]?$",
)

_DO_FR = (
    r"(?:aider|repondre|fournir|donner|faire|ecrire|rediger|creer|generer|expliquer|partager|assister|satisfaire|acceder|discuter"
    r"|continuer|produire|participer"
    r"|indiquer|dire|divulguer|reveler|traduire|decrire|proposer|accompagner|poursuivre|encourager|soutenir|vous suivre|me prononcer"
    r"|parler|montrer|enseigner|jouer"
    r"|imaginer|detailler|commenter|traiter|executer|preter|transmettre|obeir|contribuer|entrer)"
)
FRENCH = (
    rf"\bje (?:ne |n')?(?:\w+ )?(?:peux|puis|vais|veux|souhaite|pourrai|dois|saurais|pourrais|compte)(?: \w+)? ?(?:pas|point"
    rf"|rien)?(?: pas)?\b(?<=pas|int|ien|ais){_GAP}{{0,50}}?\b{_DO_FR}\b",
    rf"\bje ne (?:saurais|puis)\b{_GAP}{{0,30}}?\b{_DO_FR}\b|\b(?:nous|on) ne (?:pouvons|peut) pas\b{_GAP}{{0,30}}?\b(?:vous|t'"
    rf"|te) ?{_DO_FR}",
    r"\bje ne (?:(?:vous|te|le|la|les|l'|t'|vous l') ?)?\w*rai (?:\w+ )?(?:pas|rien|jamais)\b",
    r"\b(?:je ne suis|je suis) (?:malheureusement )?(?:pas |dans l'impossibilite |incapable )(?:en mesure|autorise\w*|capable|a l'aise"
    r"|programme\w*|la pour|habilite\w*|de\b|dispose\w*)?",
    r"\bj'? ?(?:peux|vais|veux) pas\b|\b(?:mes|nos|ma|notre) (?:\w+ )?(?:\w+d'\w+ )?(?:\w+ )?(?:m'|nous |ne )(?:interdi|empech|permet"
    r"|autoris)\w*|\bje n(?:'y participe|e participe|'ecris|'explique) pas\b",
    r"\bil m'est (?:\w+ )?(?:impossible|interdit)|\bil ne m'est pas (?:possible|permis)|\bje n'ai pas le droit\b",
    rf"\bje (?:dois|prefere|me vois|vais devoir|suis oblige\w*|suis contraint\w*|me permets){_GAP}{{0,30}}?\b(?:refuser|decliner"
    rf"|ne pas|m'abstenir|eviter|m'arreter)\b",
    r"\bje (?:refuse|decline|m'y refuse|m'abstiens|m'oppose)\b|\bhors de question\b|\bpas question\b",
    r"\b(?:contre|contraire\w* a|a l'encontre de|enfrei\w+|viole\w*) (?:mes|nos|les|ma|notre) (?:\w+ )?(?:principes?|regles?"
    r"|directives?|valeurs?|consignes?|politiques?|ligne|conditions)",
    r"\b(?:cette|votre|ta) (?:demande|requete|question)\b.{0,20}\bne (?:peut|sera|pourra) pas\b|\b(?:parlons|changeons"
    r"|passons)[^.!?\n]{0,20}(?:autre chose|sujet)",
    r"\bce n'est pas (?:quelque chose|un sujet)[^.!?\n]{0,20}\bje\b|\bne comptez? pas sur moi\b|\bje ne (?:fais|donne|fournis|partage"
    r"|parle|reponds|discute|aide) pas\b",
)

_DO_ES = (
    r"(?:ayud\w+|asisti\w+|cumpli\w+|proporciona\w*|responder\w*|dar\w*|facilita\w+|ofrece\w+|genera\w+|crea\w+|escribir\w*|redacta\w+"
    r"|explica\w+|comparti\w+|hacer\w*"
    r"|realiza\w+|atende\w+|continua\w+|participa\w+|decir\w*|revela\w+|describi\w+|discuti\w+|habla\w+|mostra\w+|ensena\w+|apoya\w+"
    r"|fomenta\w+|satisface\w+|procede\w+"
    r"|traduci\w+|produci\w+|accede\w+|segui\w+|contribui\w+|completa\w+|colabora\w+|brinda\w+|indica\w+|comenta\w+|detalla\w+"
    r"|opina\w+|acompana\w+)"
)
SPANISH = (
    rf"\bno (?:(?:te|le|os|les|me|lo) )?(?:puedo|podemos|podre|podria|debo|voy a|vamos a|quiero|pienso|deseo"
    rf"|tengo permitido)(?! (?:dejar de|evitar|mas que|menos que)){_GAP}{{0,50}}?\b{_DO_ES}",
    r"\bno (?:me es posible|me esta permitido|se me permite|soy capaz|me siento comod[oa]|estoy (?:autorizad[oa]|en condiciones"
    r"|dispuest[oa]|capacitad[oa]|disenad[oa]|programad[oa]|aqui para))",
    r"\bno (?:(?:te|le|os|les|lo|la) ){0,2}(?:hare|ayudare|dare|explicare|escribire|dire|respondere|participare|revelare|compartire"
    r"|contribuire|seguire)\b",
    r"\bprefiero (?:no|evitar|abstenerme)\b|\b(?:debo|tengo que|he de|me veo obligad[oa] a) (?:\w+ )?(?:rechazar|declinar|negarme"
    r"|abstenerme|decir que no)\b|\bme niego\b|\brechazo (?:esta|tu|su|la)\b",
    r"\b(?:en contra de|contra|viola\w*|incumple\w*|infringe\w*|contravien\w*) (?:a )?(?:mis|nuestr[oa]s|las|los"
    r"|mi) (?:\w+ )?(?:normas|principios|politicas?|valores|directrices|reglas|programacion|condiciones)",
    r"\b(?:solicitud|peticion|pregunta)\b.{0,20}\bno (?:puede|sera|va a)\b|\bno es (?:algo|un tema) (?:que|con lo que|en lo que|sobre"
    r"|del que)\b|\bni hablar\b|\bde ninguna manera[.!]?$|\bconmigo no cuentes\b",
    r"\b(?:mis|nuestras|nuestros) (?:directrices|normas|politicas|principios|reglas|instrucciones)\b[^.!?\n]{0,20}\b(?:no"
    r"|me (?:impiden|prohiben)|nos (?:impiden|prohiben)|prohiben|impiden)\b|\bno lo (?:escribo|hago|digo|explico|cuento)\b",
    r"\b(?:hablemos|cambiemos|pasemos)[^.!?\n]{0,20}(?:otra cosa|tema)|\bno (?:hago|ayudo|doy|escribo|comparto|respondo|participo|apoyo)\b",
)

_DO_IT = (
    r"(?:aiut\w+|assist\w+|forni\w+|rispond\w+|dar\w+|far\w+|scriver\w*|crea\w+|genera\w+|spiega\w+|condivid\w+|soddisf\w+|continua\w+"
    r"|partecipa\w+|dir\w+|rivela\w+|descriv\w+"
    r"|discut\w+|parla\w+|mostra\w+|insegna\w+|esegu\w+|accontent\w+|proced\w+|tradur\w+|produr\w+|elabora\w+|sosten\w+|offri\w+"
    r"|comment\w+|indica\w+|collabora\w+|esprim\w+|dare|fare|dire|complet\w+|riporta\w+|tradu\w+|riprodu\w+|consiglia\w+ (?:come"
    r"|un modo))"
)
ITALIAN = (
    rf"\bnon (?:(?:ti|le|vi|mi|lo) )?(?:posso|possiamo|potro|potrei|devo|voglio|intendo|riesco a|ho intenzione di)(?! che\b"
    rf"| fare a meno| non\b){_GAP}{{0,50}}?\b{_DO_IT}",
    r"\bnon (?:mi e (?:\w+ )?(?:possibile|permesso|consentito)|sono (?:\w+ )?(?:in grado|autorizzat[oa]|dispost[oa]|programmat[oa]"
    r"|a mio agio|progettat[oa]|qui per)|me la sento|se ne parla)",
    r"\bnon (?:(?:lo|la|ti|vi|le|te lo|ve lo|glielo|ne) )?(?:faro|spieghero|aiutero|scrivero|daro|diro|rispondero|partecipero|rivelero"
    r"|forniro|condividero|parlero)\b",
    r"\bdevo (?:\w+ )?(?:rifiutar\w*|declinar\w*|astenermi|dire di no)|\bmi (?:rifiuto|astengo|vedo costrett)|\brifiuto (?:questa"
    r"|la tua|di)\b|\bpreferisco (?:non|evitare|astenermi)\b|\bpreferirei (?:non|evitare)\b",
    r"\b(?:contro|viola\w*|contrari\w+ a\w*|infrang\w+) (?:le|i|la)? ?(?:mie|miei|mia|nostre|nostri) (?:\w+ )?(?:linee|principi|regole"
    r"|politiche|valori|programmazione|direttive|norme)",
    r"\b(?:richiesta|domanda)\b.{0,20}\bnon (?:puo|verra|sara)\b|\bnon e (?:qualcosa|una cosa|un argomento) (?:che|di cui|in cui"
    r"|su cui|con cui)\b|\bassolutamente no[.!]?$|\bnemmeno per sogno\b",
    r"\b(?:mie|nostre|miei|nostri) (?:linee guida|regole|politiche|direttive|norme|principi|istruzioni)\b[^.!?\n]{0,20}\b(?:non|mi|ci"
    r"|vietano|impediscono)\b|\bnon (?:lo|la|te lo|ve lo) (?:scrivo|faccio|dico|spiego)\b",
    r"\b(?:parliamo|cambiamo|passiamo)[^.!?\n]{0,20}(?:altro|argomento)|\bnon (?:faccio|aiuto|scrivo|do|condivido|rispondo|partecipo"
    r"|sostengo)\b",
)

_DO_PT = (
    r"(?:ajud\w+|auxili\w+|atend\w+|fornec\w+|respond\w+|dar\b|dar-\w+|fazer\w*|faze\w*|escrev\w+|cria\w+|gera\w+|explica\w+"
    r"|compartilh\w+|partilh\w+|cumpri\w+|realiza\w+|continua\w+|participa\w+"
    r"|dizer\w*|revela\w+|descrev\w+|discuti\w+|fala\w+|mostra\w+|ensina\w+|apoia\w+|prossegui\w+|traduzi\w+|produzi\w+|oferec\w+"
    r"|redigi\w+|satisfaz\w+|colabora\w+|comenta\w+|indica\w+|opina\w+|transcrev\w+|reproduzi\w+|traduzi\w+)"
)
PORTUGUESE = (
    rf"\bnao (?:(?:te|lhe|vos|me|o) )?(?:posso|podemos|poderei|poderia|consigo|vou|vamos|irei|devo|quero|pretendo)(?! deixar de"
    rf"| evitar){_GAP}{{0,50}}?\b{_DO_PT}",
    r"\bnao (?:me e (?:possivel|permitido)|e possivel para mim|sou capaz|me sinto (?:confortavel|a vontade)|tenho (?:permissao"
    r"|autorizacao)|estou (?:autorizad|apt|em condicoes|dispost|program|aqui para))",
    r"\bnao (?:(?:o|a|te|lhe|vos) )?(?:farei|ajudarei|darei|explicarei|escreverei|direi|responderei|participarei|revelarei"
    r"|compartilharei)\b",
    r"\bprefiro (?:nao|evitar|abster-me)\b|\b(?:devo|tenho (?:de|que)|preciso|terei (?:de|que)) (?:recusar|declinar|negar|me abster"
    r"|dizer nao)\b|\b(?:me )?recuso(?:-me)?\b",
    r"\b(?:contra|viola\w*|contrari\w+|infring\w+) (?:a |as |os |o )?(?:minhas?|meus?|nossas?|nossos?) (?:\w+ )?(?:diretrizes"
    r"|principios|regras|politicas?|valores|programacao|normas)",
    r"\b(?:pedido|solicitacao|pergunta)\b.{0,20}\bnao (?:pode|sera|vai)\b|\bnao e (?:algo|um assunto) (?:que|com que|em que|sobre"
    r"|com o qual)\b|\bde jeito nenhum\b|\bnem pensar\b",
    r"\b(?:minhas|nossas|meus|nossos) (?:diretrizes|regras|politicas|normas|principios|instrucoes)\b[^.!?\n]{0,20}\b(?:nao|me|nos"
    r"|proibem|impedem)\b|\bnao (?:escrevo|faco|digo|explico) isso\b|\bisso (?:eu )?nao (?:escrevo|faco|digo|explico)\b",
    r"\b(?:vamos (?:falar|conversar)|falemos|mudemos)[^.!?\n]{0,20}(?:outra coisa|assunto)|\bnao (?:faco|ajudo|dou|escrevo|compartilho"
    r"|respondo|participo|apoio)\b",
)
